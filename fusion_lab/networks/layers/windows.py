"""Cutting maps into windows and putting them together again (Liu et al., Swin Transformer, ICCV 2021)."""

import torch
from torch import Tensor


def window_partition(x: Tensor, window: int) -> Tensor:
    """Cut ``(B, H, W, C)`` into windows ``(B, H/window * W/window, window * window, C)``, both in row-major order."""
    b, h, w, c = x.shape
    x = x.view(b, h // window, window, w // window, window, c).transpose(2, 3)
    return x.reshape(b, -1, window * window, c)


def window_reverse(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Undo `window_partition`: ``(B, windows, window * window, C)`` to ``(B, height, width, C)``."""
    b, _, _, c = windows.shape
    x = windows.view(b, height // window, width // window, window, window, c).transpose(2, 3)
    return x.reshape(b, height, width, c)


def split_heads(x: Tensor, window: int, num_heads: int) -> Tensor:
    """Cut ``(B, H, W, C)`` into the windows and heads of an attention, ``(B, H/window, W/window, heads, d, N)``.

    N is ``window * window`` and d is ``C / heads``: one copy brings the map into the order of the products.
    """
    b, h, w, c = x.shape
    x = x.reshape(b, h // window, window, w // window, window, num_heads, c // num_heads)
    return x.permute(0, 1, 3, 5, 6, 2, 4).reshape(b, h // window, w // window, num_heads, c // num_heads, window**2)


def join_heads(x: Tensor, window: int) -> Tensor:
    """Undo `split_heads`: ``(B, rows, columns, heads, d, N)`` to ``(B, H, W, C)``."""
    b, rows, columns, num_heads, d, _ = x.shape
    x = x.view(b, rows, columns, num_heads * d, window, window).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(b, rows * window, columns * window, num_heads * d)


def relative_position_index(window: int) -> Tensor:
    """Index of each (query, key) pair of a window in a table of ``(2 window - 1)^2`` offsets, ``(N, N)``, row-major."""
    y, x = (grid.flatten() for grid in torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij"))
    dy = y[:, None] - y[None, :] + window - 1
    dx = x[:, None] - x[None, :] + window - 1
    return dy * (2 * window - 1) + dx


def shift_mask(height: int, width: int, window: int, shift: int, like: Tensor) -> Tensor:
    """Additive attention mask of a cyclically shifted map: -100 between tokens that were not neighbours before.

    Args:
        height: Height of the map in pixels, a multiple of ``window``.
        width: Width of the map in pixels, a multiple of ``window``.
        window: Side of a window in pixels.
        shift: The map was rolled by ``-shift`` along both axes.
        like: A tensor whose dtype and device the mask gets.

    Returns:
        ``(windows, N, N)``, 0 or -100.
    """

    def bands(size: int) -> Tensor:
        position = torch.arange(size, device=like.device)
        return (position >= size - window).int() + (position >= size - shift).int()

    region = 3 * bands(height)[:, None] + bands(width)[None, :]
    labels = window_partition(region[None, :, :, None], window)[0, :, :, 0]
    return (labels[:, :, None] != labels[:, None, :]).to(like.dtype) * -100.0
