"""Sobel's gradients, the ground of the metrics of edges."""

from torch import Tensor


def sobel(padded: Tensor) -> tuple[Tensor, Tensor]:
    """Return the horizontal and the vertical gradient, not normalised.

    Args:
        padded: ``(B, H + 2, W + 2)``: how it goes on beyond the border is the metric's choice.

    Returns:
        x, positive where it gets brighter to the right, and y, positive where it gets brighter upwards:
        ``(B, H, W)`` each.
    """
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    along = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]
    return down[..., 2:] - down[..., :-2], along[:, :-2] - along[:, 2:]
