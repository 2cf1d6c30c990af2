"""How far the fused image's pixels lie from those of the sources."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, check_choice, each_channel, grey_levels

PeakSignalNoiseRatioVariant = Literal["mean_mse", "tang", "vifb"]

_PEAK = 255


@each_channel
def mean_squared_error(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """MSE: ``(mean (F - A)^2 + mean (F - B)^2) / 2``; lower is better.

    Tang's tables are in units of [0, 1], that is ``/ 255^2``.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``, grey levels squared, 0..65025.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    return ((level_f - level_a).square().mean((1, 2)) + (level_f - level_b).square().mean((1, 2))) / 2


@each_channel
def vifb_root_mean_squared_error(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """RMSE of VIFB: ``(|F - A| + |F - B|) / (2 H W)`` with Frobenius norms, so no root mean square; lower is better.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``, about 0.1.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    distances = [(level_f - level).square().sum((1, 2)).sqrt() for level in (level_a, level_b)]
    return (distances[0] + distances[1]) / (2 * level_f[0].numel())


@each_channel
def peak_signal_noise_ratio(
    fused: Tensor, source_a: Tensor, source_b: Tensor, variant: PeakSignalNoiseRatioVariant = "mean_mse"
) -> Tensor:
    """PSNR of the fused image against both sources, in dB.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        variant: ``"mean_mse"`` is ``10 log10(255^2 / MSE)`` with `mean_squared_error`; ``"tang"`` puts the peak of
            8 bits over the error of [0, 1], which adds 48.13 dB; ``"vifb"`` is ``20 log10(255 / sqrt(R))`` with
            R of `vifb_root_mean_squared_error`.

    Returns:
        ``(B,)``; infinite where the fused image equals both sources.

    Raises:
        FusionLabError: Images that `grey_levels` refuses, or another variant.
    """
    check_choice("variant", variant, PeakSignalNoiseRatioVariant)
    if variant == "vifb":
        return 10 * torch.log10(_PEAK**2 / vifb_root_mean_squared_error(fused, source_a, source_b))
    peak = _PEAK**2 if variant == "tang" else _PEAK
    return 10 * torch.log10(peak**2 / mean_squared_error(fused, source_a, source_b))


class MeanSquaredError(FusionMetric):
    """MSE, see `mean_squared_error`."""

    label: ClassVar[str] = "MSE"
    higher_is_better = False

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return MSE of each image, ``(B,)``."""
        return mean_squared_error(fused, source_a, source_b)


class VIFBRootMeanSquaredError(FusionMetric):
    """RMSE of VIFB, see `vifb_root_mean_squared_error`."""

    label: ClassVar[str] = "RMSE"
    higher_is_better = False

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return VIFB's RMSE of each image, ``(B,)``."""
        return vifb_root_mean_squared_error(fused, source_a, source_b)


class PeakSignalNoiseRatio(FusionMetric):
    """PSNR against both sources, see `peak_signal_noise_ratio`.

    Args:
        variant: Whose formula.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "PSNR"
    higher_is_better = True

    def __init__(self, variant: PeakSignalNoiseRatioVariant = "mean_mse", **options: Any) -> None:
        check_choice("variant", variant, PeakSignalNoiseRatioVariant)
        super().__init__(**options)
        self.variant: PeakSignalNoiseRatioVariant = variant

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return PSNR of each image, ``(B,)``."""
        return peak_signal_noise_ratio(fused, source_a, source_b, self.variant)
