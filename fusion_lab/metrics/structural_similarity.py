"""SSIM of the fused image with its sources."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics.base import FusionMetric, check_choice, each_channel, grey_levels
from fusion_lab.metrics.filters.gaussian_filter import box_sum, gaussian_filter
from fusion_lab.metrics.filters.local_moments import local_moments

Reduction = Literal["mean", "sum"]
Window = Literal["gaussian", "uniform"]
SimilarityBorder = Literal["replicate", "valid"]

_SIDES: dict[str, int] = {"gaussian": 11, "uniform": 7}
"""Side of the windows in pixels."""


def similarity(
    means: tuple[Tensor, Tensor], variances: tuple[Tensor, Tensor], covariance: Tensor, stabilisers: tuple[float, float]
) -> Tensor:
    """Return SSIM of each window: likeness of the means times likeness of contrast and structure.

    Args:
        means: Of both images, broadcastable.
        variances: Of both images, broadcastable.
        covariance: Between the images.
        stabilisers: C1 and C2, both above 0.

    Returns:
        The shape of ``covariance``, -1..1.
    """
    (mean_x, mean_y), (variance_x, variance_y), (c1, c2) = means, variances, stabilisers
    luminance = (2 * mean_x * mean_y + c1) / (mean_x.square() + mean_y.square() + c1)
    return luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)


@each_channel
def fusion_ssim(
    fused: Tensor,
    source_a: Tensor,
    source_b: Tensor,
    reduction: Reduction = "mean",
    border: SimilarityBorder = "replicate",
    window: Window = "gaussian",
    data_range: float = 255.0,
) -> Tensor:
    """SSIM (Wang et al., 2004) with both sources, -1..1, as a sum -2..2.

    With C1 = (0.01 L)^2 and C2 = (0.03 L)^2, where L is the data range, the mean over all windows of
    ``(2 μ_X μ_F + C1) (2 cov(X, F) + C2) / ((μ_X^2 + μ_F^2 + C1) (var(X) + var(F) + C2))``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255; if ``"valid"``, at least one window a side.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        reduction: ``"mean"`` of the values with A and with B (MATLAB's toolboxes) or their ``"sum"`` (VIFB, CDDFuse).
        border: ``"replicate"`` repeats the edge pixels and keeps a window for each pixel (MATLAB's ``ssim``);
            ``"valid"`` keeps the windows inside the image (VIFB, CDDFuse, torchmetrics).
        window: ``"gaussian"`` of 11 x 11 pixels, standard deviation 1.5; ``"uniform"`` of 7 x 7 pixels with the
            unbiased variance, scikit-image's default (CDDFuse).
        data_range: L, which is 255 for 8 bits. Tang's scores of 2023 take it as 1 and CDDFuse's as 2, although their
            images are 0..255.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or an unknown option.
    """
    _check_options(reduction, border, window, data_range)
    side = _SIDES[window]
    levels = grey_levels(fused, source_a, source_b, minimum_side=side if border == "valid" else 1)
    planes = torch.stack(levels, dim=1)
    unbiased = 1.0
    if window == "gaussian":
        mean, variance, covariance = local_moments(
            planes, [(0, 1), (0, 2)], lambda images: gaussian_filter(images, side, 1.5, border)
        )
    else:
        if border == "replicate":
            planes = F.pad(planes, (side // 2,) * 4, mode="replicate")
        mean, variance, covariance = local_moments(
            planes, [(0, 1), (0, 2)], lambda images: box_sum(images, side) / side**2
        )
        unbiased = side**2 / (side**2 - 1)
    values = similarity(
        (mean[:, :1], mean[:, 1:]),
        (unbiased * variance[:, :1], unbiased * variance[:, 1:]),
        unbiased * covariance,
        ((0.01 * data_range) ** 2, (0.03 * data_range) ** 2),
    ).mean((2, 3))
    return values.mean(1) if reduction == "mean" else values.sum(1)


def _check_options(reduction: str, border: str, window: str, data_range: float) -> None:
    check_choice("reduction", reduction, Reduction)
    check_choice("border", border, SimilarityBorder)
    check_choice("window", window, Window)
    if not data_range > 0:
        raise FusionLabError(f"Parameter `data_range` should be above 0. Found `data_range = {data_range}`.")


class FusionSSIM(FusionMetric):
    """SSIM, see `fusion_ssim`.

    Args:
        reduction: Mean or sum over the sources.
        border: What lies beyond the border.
        window: The window's shape.
        data_range: L.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "SSIM"
    higher_is_better = True

    def __init__(
        self,
        reduction: Reduction = "mean",
        border: SimilarityBorder = "replicate",
        window: Window = "gaussian",
        data_range: float = 255.0,
        **options: Any,
    ) -> None:
        _check_options(reduction, border, window, data_range)
        super().__init__(**options)
        self.reduction: Reduction = reduction
        self.border: SimilarityBorder = border
        self.window: Window = window
        self.data_range = data_range

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return SSIM of each image, ``(B,)``."""
        return fusion_ssim(fused, source_a, source_b, self.reduction, self.border, self.window, self.data_range)
