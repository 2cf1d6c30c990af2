"""Fusion metrics as the tables of the field use them.

Each metric is a ``torchmetrics.Metric`` with ``update(fused, source_a, source_b)`` and a pure function with
one value per image. Images are ``(B, 1, H, W)`` with integers 0..255; `quantise` makes them of a network's
output:

    metric = Entropy()
    metric.update(quantise(fused), quantise(source_a), quantise(source_b))
    metric.compute()
"""

from collections.abc import Iterable

from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, quantise
from fusion_lab.metrics.correlation import (
    CorrelationCoefficient,
    SumCorrelationDifferences,
    correlation_coefficient,
    sum_correlation_differences,
)
from fusion_lab.metrics.edge_preservation import EdgePreservation, edge_preservation
from fusion_lab.metrics.information import (
    Entropy,
    FusionMutualInformation,
    entropy,
    fusion_mutual_information,
)
from fusion_lab.metrics.statistics import (
    AverageGradient,
    SpatialFrequency,
    StandardDeviation,
    average_gradient,
    spatial_frequency,
    standard_deviation,
)
from fusion_lab.metrics.visual_information import (
    VisualInformationFidelitySum,
    visual_information_fidelity_sum,
)

__all__ = [
    "AverageGradient",
    "CorrelationCoefficient",
    "EdgePreservation",
    "Entropy",
    "FusionMetric",
    "FusionMutualInformation",
    "SpatialFrequency",
    "StandardDeviation",
    "SumCorrelationDifferences",
    "VisualInformationFidelitySum",
    "average_gradient",
    "correlation_coefficient",
    "edge_preservation",
    "entropy",
    "fusion_mutual_information",
    "quantise",
    "scores",
    "spatial_frequency",
    "standard_deviation",
    "sum_correlation_differences",
    "visual_information_fidelity_sum",
]


def scores(fused: Tensor, source_a: Tensor, source_b: Tensor, metrics: Iterable[FusionMetric]) -> dict[str, float]:
    """Score one batch, usually one image, without touching the metrics' states.

    Args:
        fused: ``(B, 1, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        metrics: The metrics wanted.

    Returns:
        The mean over the batch by the metric's label, such as ``{"EN": 7.1, "MI": 3.9}``.

    Raises:
        FusionLabError: Images that a metric refuses.
    """
    return {metric.label: metric.score(fused, source_a, source_b).mean().item() for metric in metrics}
