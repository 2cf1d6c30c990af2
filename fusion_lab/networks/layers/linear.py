"""Linear layers as vision transformers start them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion_lab.networks.layers.strips import in_strips_on_cpu

_ONE_DNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None

_FEWEST_ROWS = 64
"""Smaller products gain nothing."""


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute ``x weight^T + bias`` on the last dimension, as `torch.nn.functional.linear`.

    In float32 on a CPU oneDNN does it: on AMD's, MKL takes up to twice as long. Its operator is private and has no
    gradient; where it is missing or something else is asked for, PyTorch's own works.
    """
    if not _one_dnn_takes(x, weight) or x.shape[:-1].numel() < _FEWEST_ROWS:
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(each is not None and each.requires_grad for each in (x, weight, bias)):
        return _Product.apply(x.flatten(0, -2), weight, bias).unflatten(0, x.shape[:-1])
    return _one_dnn(x, weight, bias)


def _one_dnn_takes(x: Tensor, weight: Tensor) -> bool:
    # Fake tensors, whose type is another, and what is compiled or traced know no private operator.
    if type(x) not in (Tensor, nn.Parameter) or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    plain = x.device.type == weight.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    # PyTorch tells better what is wrong with other sizes.
    sizes = x.shape[-1] == weight.shape[-1]
    return _ONE_DNN is not None and plain and sizes and not torch.is_autocast_enabled("cpu")


def _in_place(x: Tensor) -> bool:
    return in_strips_on_cpu(x) and not torch.is_autocast_enabled("cpu")


def _one_dnn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _ONE_DNN(x, weight, bias, "none", [], "")


class _Product(torch.autograd.Function):
    """The `product` ``(N, in)`` by ``(out, in)`` of oneDNN with a gradient, which is two products more."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return _one_dnn(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            product(grad, weight.T, None) if of_x else None,
            grad.T @ x if of_weight else None,
            grad.sum(0) if of_bias else None,
        )


class Linear(nn.Linear):
    """A linear layer that takes its `product` where it is fastest."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., in)`` to ``(..., out)``."""
        return product(x, self.weight, self.bias)


def linear(in_dim: int, out_dim: int) -> nn.Linear:
    """Make a linear layer with weights from a truncated normal of deviation 0.02 and no bias at the start."""
    layer = Linear(in_dim, out_dim)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def multi_layer_perceptron(in_dim: int, hidden_dim: int, out_dim: int) -> nn.Sequential:
    """Linear, GELU, linear on the last dimension."""
    return nn.Sequential(linear(in_dim, hidden_dim), nn.GELU(), linear(hidden_dim, out_dim))


class Pointwise(nn.Conv2d):
    """A 1x1 convolution, as one product where the channels are last in memory: nothing is copied then.

    PyTorch has a slow convolution for one image and one thread.
    """

    def __init__(self, in_dim: int, out_dim: int, bias: bool = True) -> None:
        super().__init__(in_dim, out_dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, in, H, W)`` to ``(B, out, H, W)``."""
        if not x.is_contiguous(memory_format=torch.channels_last):
            return super().forward(x)
        return product(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def joint_linear(x: Tensor, *layers: nn.Linear | Pointwise) -> tuple[Tensor, ...]:
    """Apply several linear layers to the same ``(..., in)`` by one product; returns ``(..., out)`` of each."""
    weights = [layer.weight.flatten(1) for layer in layers]
    bias = torch.cat([layer.get_parameter("bias") for layer in layers])
    return product(x, torch.cat(weights), bias).split([len(weight) for weight in weights], dim=-1)


def joint_heads(x: Tensor, heads: int, *layers: nn.Linear) -> tuple[Tensor, ...]:
    """Apply linear layers to the same tokens ``(..., N, C)`` by one product, and cut what comes out into heads.

    In strips the weights stand on the left: what comes out need not be turned, and as it lies head by head, it need not
    be copied for a product of each window and head either.

    Returns:
        ``(..., heads, C / heads, N)`` for each C outputs of the layers, in their order.
    """
    # (C-wide outputs, heads, d, in) to (heads, outputs, d, in).
    order = (-1, heads, x.shape[-1] // heads)
    weight = torch.cat([layer.weight for layer in layers]).unflatten(0, order).transpose(0, 1)
    bias = torch.cat([layer.bias for layer in layers]).unflatten(0, order).transpose(0, 1)
    shape = weight.shape[:3]
    weight, bias = weight.flatten(0, 2), bias.flatten()
    joint = (weight @ x.mT).add_(bias[:, None]) if _in_place(x) else product(x, weight, bias).mT
    return joint.unflatten(-2, shape).unbind(-3)


def linear_of_tokens_last(x: Tensor, layer: nn.Linear) -> Tensor:
    """Apply a linear layer to tokens that come last, ``(..., in, N)``; returns ``(..., N, out)``."""
    return (x.mT @ layer.weight.T).add_(layer.bias) if _in_place(x) else layer(x.mT)
