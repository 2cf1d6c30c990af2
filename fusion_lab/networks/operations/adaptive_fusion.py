"""OAF, the operation-based adaptive fusion of TITA."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fusion_lab.networks.layers.linear import Pointwise, multi_layer_perceptron
from fusion_lab.networks.layers.pooling import image_mean
from fusion_lab.networks.layers.strips import over_rows
from fusion_lab.networks.operations.addition import Addition
from fusion_lab.networks.operations.base import Operation
from fusion_lab.networks.operations.high_pass import HighPass
from fusion_lab.networks.operations.multiplication import Multiplication


class SourceOperations(nn.Module):
    """All operation branches of one source behind their common 1x1 convolution."""

    def __init__(self, dim: int, operations: Sequence[type[Operation]]) -> None:
        super().__init__()
        self.compress = Pointwise(dim, dim)
        self.branches = nn.ModuleDict({operation.parameter_name: operation(dim) for operation in operations})
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute each branch's output for ``(B, C, H, W)``, each ``(B, C, H, W)``."""
        compressed = self.compress(x)
        return [branch(x, compressed) for branch in self.branches.values()]


class AdaptiveFusion(nn.Module):
    """OAF: operation branches on both sources, added with weights that the sources decide (TITA, ICCV 2025).

    The weights are one softmax over all (source, operation) pairs of an MLP on the globally pooled sources: one set
    for each image, not for each pixel. Fixed equal weights are there to compare with.

    Args:
        dim: Channels C.
        operations: The operation branches, each applied to both sources.
        dynamic_weights: Let the sources decide; otherwise every branch of either source has the same weight.
    """

    def __init__(
        self,
        dim: int,
        operations: Sequence[type[Operation]] = (HighPass, Addition, Multiplication),
        dynamic_weights: bool = True,
    ) -> None:
        super().__init__()
        names = [operation.parameter_name for operation in operations]
        if not names or len(set(names)) < len(names):
            found = ", ".join(operation.__name__ for operation in operations) or "none"
            raise ValueError(f"`operations` should name one or more different branches. Found {found}.")
        self.num_operations = len(operations)
        halos = [operation.halo for operation in operations]
        self.halo = None if None in halos else max(halo for halo in halos if halo is not None)
        self.labels = [operation.label for operation in operations]
        self.source_a = SourceOperations(dim, operations)
        self.source_b = SourceOperations(dim, operations)
        self.weight_generator = multi_layer_perceptron(2 * dim, dim, 2 * len(operations)) if dynamic_weights else None

    def operation_weights(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute the weights ``(B, 2, operations)`` of each source's branches; they sum to 1 over both."""
        if self.weight_generator is None:
            count = 2 * self.num_operations
            return x.new_full((len(x), 2, self.num_operations), 1 / count)
        return self.weight_generator(image_mean(x, y)).softmax(dim=-1).unflatten(-1, (2, self.num_operations))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Fuse the maps of both sources, ``(B, C, H, W)`` each, to ``(B, C, H, W)``."""
        weights = self.operation_weights(x, y)[..., None, None, None]

        def fuse(x: Tensor, y: Tensor) -> Tensor:
            fused = torch.zeros_like(x)
            for i, (from_a, from_b) in enumerate(zip(self.source_a(x), self.source_b(y), strict=True)):
                fused = torch.addcmul(torch.addcmul(fused, weights[:, 0, i], from_a), weights[:, 1, i], from_b)
            return fused

        return over_rows(fuse, [x, y], self.halo)
