"""Linear correlation of the fused image, or of what each source left in it, with the sources."""

from typing import Any, ClassVar

from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, each_channel, grey_levels, ratio


def _pearson(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's r over all pixels: two ``(B, H, W)`` to ``(B,)`` in [-1, 1], 0 where an image is constant."""
    first = first - first.mean((1, 2), keepdim=True)
    second = second - second.mean((1, 2), keepdim=True)
    covariance = (first * second).sum((1, 2))
    return ratio(covariance, (first.square().sum((1, 2)) * second.square().sum((1, 2))).sqrt())


@each_channel
def correlation_coefficient(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """CC: ``(r(A, F) + r(B, F)) / 2``, -1..1.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    return (_pearson(level_a, level_f) + _pearson(level_b, level_f)) / 2


@each_channel
def sum_correlation_differences(fused: Tensor, source_a: Tensor, source_b: Tensor, saturate: bool = False) -> Tensor:
    """SCD: ``r(F - B, A) + r(F - A, B)`` (Aslantas & Bendes, 2015), -2..2.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        saturate: Negative differences become 0, as where a program subtracts 8-bit images.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    level_f, level_a, level_b = grey_levels(fused, source_a, source_b)
    left_by_a, left_by_b = level_f - level_b, level_f - level_a
    if saturate:
        left_by_a, left_by_b = left_by_a.clamp(min=0), left_by_b.clamp(min=0)
    return _pearson(left_by_a, level_a) + _pearson(left_by_b, level_b)


class CorrelationCoefficient(FusionMetric):
    """CC, see `correlation_coefficient`."""

    label: ClassVar[str] = "CC"
    higher_is_better = True

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return CC of each image, ``(B,)``."""
        return correlation_coefficient(fused, source_a, source_b)


class SumCorrelationDifferences(FusionMetric):
    """SCD, see `sum_correlation_differences`.

    Args:
        saturate: Negative differences become 0.
        options: Options of ``torchmetrics.Metric``.
    """

    label: ClassVar[str] = "SCD"
    higher_is_better = True

    def __init__(self, saturate: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.saturate = saturate

    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return SCD of each image, ``(B,)``."""
        return sum_correlation_differences(fused, source_a, source_b, self.saturate)
