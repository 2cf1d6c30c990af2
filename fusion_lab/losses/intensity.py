"""The intensity term."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.filters import sobel_magnitude
from fusion_lab.types import Sample

_FOCUS_WINDOW = 9


class Intensity(LossTerm):
    """Mean absolute difference from an image made of the sources (SwinFusion; TITA).

    TITA's code takes the maximum for IVF and the mean for MFF and MEF; its paper is quoted with the maximum for MFF.

    Args:
        target: The ``maximum`` or the ``mean`` of the sources, or at each pixel the ``sharper`` one, whose Sobel
            magnitude over 9 x 9 pixels is the larger.
        weight: Factor of the term in the objective.
    """

    def __init__(self, target: Literal["maximum", "mean", "sharper"], weight: float = 1.0) -> None:
        super().__init__(weight)
        if target not in _TARGETS:
            raise FusionLabError(f"`target` should be one of {', '.join(_TARGETS)}. Found `target = {target}`.")
        self.target = target

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        return (fused - _TARGETS[self.target](sample["source_a"], sample["source_b"])).abs().mean()


def _mean(a: Tensor, b: Tensor) -> Tensor:
    return (a + b) / 2


def _sharper(a: Tensor, b: Tensor) -> Tensor:
    focus = [
        F.avg_pool2d(sobel_magnitude(one), _FOCUS_WINDOW, 1, _FOCUS_WINDOW // 2, count_include_pad=False)
        for one in (a, b)
    ]
    return torch.where(focus[0] >= focus[1], a, b)


_TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"maximum": torch.maximum, "mean": _mean, "sharper": _sharper}
