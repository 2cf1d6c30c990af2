"""Multi-head attention inside windows, of one map on itself or on another."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from math import e, log2
from typing import Any

import torch
from torch import Tensor, nn

from fusion_lab.networks.layers.linear import joint_heads, linear, linear_of_tokens_last
from fusion_lab.networks.layers.strips import Part, in_strips_on_cpu
from fusion_lab.networks.layers.windows import relative_position_index, shift_mask, window_partition, window_reverse

MOST_LOGITS = {"cpu": 2**19}
"""The logits that are in memory at a time, by the kind of device."""
_MOST_ELSEWHERE = 2**28
_SMALLEST_SUM, _LARGEST_SUM = 2.0**-60, 2.0**60
"""Sums of powers of two between these are far from either end of float32."""


class WindowAttention(nn.Module):
    """Attention of each token on the tokens of its own window, with a learnt relative position bias.

    ``softmax(Q K^T / sqrt(d) + bias + mask) V`` with Q from the query map and K, V from the other map; the same map
    twice makes it self-attention (Liu et al., ICCV 2021), two maps cross-attention (Ma et al., SwinFusion, 2022).

    Args:
        dim: Channels C, a multiple of ``num_heads``.
        num_heads: Heads.
        window_size: Side of a window in pixels.
        shift: Pixels by which the windows are shifted, cyclically; 0 for none.
    """

    index: Tensor
    masks: Tensor | None

    def __init__(self, dim: int, num_heads: int, window_size: int, shift: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.query = linear(dim, dim)
        self.key_value = linear(dim, 2 * dim)
        self.projection = linear(dim, dim)
        self.bias_table = nn.Parameter(torch.empty((2 * window_size - 1) ** 2, num_heads))
        self.register_buffer("index", relative_position_index(window_size).flatten(), persistent=False)
        # Of four windows of a shifted map: only the last ones of a row and of a column hold what wrapped around.
        masks = shift_mask(2 * window_size, 2 * window_size, window_size, shift, like=self.bias_table.detach())
        self.register_buffer("masks", masks if shift else None, persistent=False)
        nn.init.trunc_normal_(self.bias_table, std=0.02)

    def forward(self, query: Tensor, other: Tensor, part: Part | None = None) -> Tensor:
        """Attend from ``query`` ``(B, H, W, C)`` to ``other`` ``(B, H, W, C)``; H and W are multiples of the window.

        Of a ``part`` of a map, the first window begins at its first pixel.
        """
        if query is other:
            queries, keys, values = joint_heads(self.windows(query, part), self.num_heads, self.query, self.key_value)
        else:
            (queries,) = joint_heads(self.windows(query, part), self.num_heads, self.query)
            keys, values = joint_heads(self.windows(other, part), self.num_heads, self.key_value)
        return self.attend(queries, keys, values, part)

    def windows(self, x: Tensor, part: Part | None = None) -> Tensor:
        """Cut ``(B, H, W, C)`` into the windows of this attention, ``(B, rows, columns, N, C)``."""
        rows, columns = (side // self.window_size for side in x.shape[1:3])
        if self.shift and part is None:
            x = x.roll((-self.shift, -self.shift), dims=(1, 2))
        return window_partition(x, self.window_size).unflatten(1, (rows, columns))

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, part: Part | None = None) -> Tensor:
        """Attend from queries to keys and values, ``(B, rows, columns, heads, d, N)`` each; gives ``(B, H, W, C)``."""
        rows, columns = queries.shape[1:3]
        bias = self.bias_table.index_select(0, self.index).T.unflatten(-1, (self.window_size**2, -1))
        out = attention(queries, keys, values, bias, self._masks(part))
        windows = linear_of_tokens_last(out.flatten(-3, -2).flatten(1, 2), self.projection)
        out = window_reverse(windows, self.window_size, rows * self.window_size, columns * self.window_size)
        return out.roll((self.shift, self.shift), dims=(1, 2)) if self.shift and part is None else out

    def _masks(self, part: Part | None) -> Tensor | None:
        """Return the masks of `attention`: what wraps around is in the last windows of the whole map alone."""
        if self.masks is None or part == (False, False):
            return None
        if part is None or part == (True, True):
            return self.masks
        inner, row, column, _ = self.masks
        return torch.stack([inner, inner, column, column] if part.bottom else [inner, row, inner, row])


def cross_attention(
    first: WindowAttention, second: WindowAttention, x: Tensor, y: Tensor, part: Part | None = None
) -> tuple[Tensor, Tensor]:
    """Let two maps ``(B, H, W, C)`` attend to each other: ``first(x, y)`` and ``second(y, x)``, each cut once."""
    heads = first.num_heads
    queries_x, keys_x, values_x = joint_heads(first.windows(x, part), heads, first.query, second.key_value)
    queries_y, keys_y, values_y = joint_heads(first.windows(y, part), heads, second.query, first.key_value)
    return first.attend(queries_x, keys_y, values_y, part), second.attend(queries_y, keys_x, values_x, part)


def attention(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, masks: Tensor | None = None) -> Tensor:
    """Compute ``softmax(Q K^T / sqrt(d) + bias + mask) V``; the probabilities are not kept for the backward pass.

    Maps have the tokens last, since MKL takes three times as long for products with few columns as with few rows.

    Args:
        queries: ``(B, rows, columns, heads, d, N)``, as ``keys`` and ``values``.
        keys: What is asked.
        values: What answers.
        bias: Added to the logits of every window, ``(heads, N, N)``.
        masks: Added to those of an inner window, of the last one of a row, of a column and of both, ``(4, N, N)``.

    Returns:
        ``(B, rows, columns, heads, d, N)``.
    """
    if torch.compiler.is_exporting():
        return _at_once(queries, keys, values, bias, masks)
    batch, rows = queries.shape[:2]
    device, dtype = queries.device.type, queries.dtype
    # Autocast would compute in its own type here, but not in the backward pass.
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    if in_strips_on_cpu(queries) and dtype == queries.dtype:
        query, key, value = (x.flatten(0, 1) for x in (queries, keys, values))
        return _by_powers(query, key, value, bias, masks, rows).unflatten(0, (batch, rows))
    flat = (x.flatten(0, 1).to(dtype).contiguous() for x in (queries, keys, values))
    return _Attention.apply(*flat, bias.to(dtype).contiguous(), masks, rows).unflatten(0, (batch, rows))


def _at_once(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, masks: Tensor | None) -> Tensor:
    """Compute `attention` without parts, whose number would be fixed in an exported program."""
    logits = (queries * queries.shape[-2] ** -0.5).mT @ keys + bias
    if masks is not None:
        _, row, column, both = masks[:, None].to(logits.dtype)
        inner = torch.cat([logits[:, :, :-1], logits[:, :, -1:] + row], dim=2)
        bottom = torch.cat([logits[:, -1:, :-1] + column, logits[:, -1:, -1:] + both], dim=2)
        logits = torch.cat([inner[:, :-1], bottom], dim=1)
    return values @ logits.softmax(dim=-1).mT


class _Attention(torch.autograd.Function):
    """Attention of rows of windows ``(B rows, columns, heads, d, N)`` as one step of the backward pass.

    The maps (N, N) are most of what a training would have to keep, and quickly made again. Both ways go some rows at a
    time, so that these maps stay in the caches of a CPU.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, masks: Tensor | None, rows: int) -> Tensor:
        with _as_given(queries):
            if _takes_powers(queries):
                return _by_powers(queries, keys, values, bias, masks, rows)
            parts = [
                values[part] @ _probabilities(queries[part], keys[part], bias, masks, last, rows).mT
                for part, last in _parts(queries, rows)
            ]
            return torch.cat(parts)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.rows = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        with _as_given(grad):
            return _Attention._backward(ctx, grad)

    @staticmethod
    def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None, None]:
        queries, keys, values, bias, masks = ctx.saved_tensors
        scale = queries.shape[-2] ** -0.5
        results = []
        for part, last in _parts(queries, ctx.rows):
            query, key, of_out = queries[part], keys[part], grad[part]
            probabilities = _probabilities(query, key, bias, masks, last, ctx.rows)
            of_values = of_out @ probabilities
            of_logits = torch._softmax_backward_data(of_out.mT @ values[part], probabilities, -1, probabilities.dtype)
            of_bias = of_logits.sum(dim=(0, 1), dtype=torch.promote_types(bias.dtype, torch.float32))
            results.append(((key * scale) @ of_logits.mT, (query * scale) @ of_logits, of_values, of_bias))
        *of_inputs, of_biases = zip(*results, strict=True)
        of_queries, of_keys, of_values = (torch.cat(each) for each in of_inputs)
        return of_queries, of_keys, of_values, torch.stack(of_biases).sum(0).to(bias.dtype), None, None


def _as_given(x: Tensor) -> AbstractContextManager[Any]:
    """Compute in the types of what is given: autocast, which may be on in the backward pass alone, mixes others in."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _parts(queries: Tensor, rows: int) -> Iterator[tuple[slice, int]]:
    """Cut rows of windows into parts; gives each with the number of rows before the first that is the last of a map."""
    _, columns, heads, _, tokens = queries.shape
    step = max(1, MOST_LOGITS.get(queries.device.type, _MOST_ELSEWHERE) // (columns * heads * tokens**2))
    for first in range(0, len(queries), step):
        yield slice(first, first + step), -(first + 1) % rows


def _takes_powers(queries: Tensor) -> bool:
    """Return whether powers of two may take the place of a softmax: on a CPU it takes three times as long as they.

    Whether none overflows is looked up in the values, which compiled code, fake tensors and `torch.func.vmap` have not.
    """
    if torch.compiler.is_compiling() or type(queries) is not Tensor or torch.func.debug_unwrap(queries) is not queries:
        return False
    return queries.device.type == "cpu" and queries.dtype in (torch.float32, torch.bfloat16)


def _by_powers(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor, masks: Tensor | None, rows: int) -> Tensor:
    """Compute the attention of `_Attention` by powers of two, in place, where none of them overflows.

    The maximum need not be taken off then, and the sums divide what comes out: half the time of a softmax. The maps
    have the keys first, so that the second product turns nothing; masks are the same either way.
    """
    out = queries.new_empty(queries.shape)
    scaled = queries * (log2(e) * queries.shape[-2] ** -0.5)
    factors, scaled_masks = (bias.mT * log2(e)).contiguous(), None if masks is None else masks * log2(e)
    memory = queries.new_empty(0)
    for part, last in _parts(queries, rows):
        key, query = keys[part].flatten(0, 2), scaled[part].flatten(0, 2)
        if not len(memory):
            memory = query.new_empty(len(query), query.shape[-1], query.shape[-1])
        logits = torch.bmm(key.mT, query, out=memory[: len(query)]).unflatten(0, scaled[part].shape[:3])
        powers = _add_masks(logits.add_(factors), scaled_masks, last, rows).exp2_()
        sums = powers.sum(dim=-2, keepdim=True)
        if _in_range(sums):
            torch.div(values[part] @ powers, sums, out=out[part])
        else:
            exact = _logits(queries[part], keys[part], bias, masks, last, rows)
            out[part] = values[part] @ exact.softmax(dim=-1).mT
    return out


def _in_range(sums: Tensor) -> bool:
    least, largest = (bound.item() for bound in sums.aminmax())
    return least > _SMALLEST_SUM and largest < _LARGEST_SUM


def _probabilities(queries: Tensor, keys: Tensor, bias: Tensor, masks: Tensor | None, last: int, rows: int) -> Tensor:
    if _takes_powers(queries):
        scaled_masks = None if masks is None else masks * log2(e)
        powers = _logits(queries * log2(e), keys, bias * log2(e), scaled_masks, last, rows).exp2_()
        sums = powers.sum(dim=-1, keepdim=True)
        if _in_range(sums):
            return powers.div_(sums)
    return _logits(queries, keys, bias, masks, last, rows).softmax(dim=-1)


def _logits(queries: Tensor, keys: Tensor, bias: Tensor, masks: Tensor | None, last: int, rows: int) -> Tensor:
    logits = ((queries * queries.shape[-2] ** -0.5).mT @ keys).add_(bias)
    return _add_masks(logits, masks, last, rows)


def _add_masks(logits: Tensor, masks: Tensor | None, last: int, rows: int) -> Tensor:
    if masks is not None:
        _, row, column, both = masks[:, None].to(logits.dtype)
        logits[:, -1] += row
        logits[last::rows, :-1] += column
        logits[last::rows, -1] += both - row
    return logits
