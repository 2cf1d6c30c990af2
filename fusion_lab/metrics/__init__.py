"""Fusion metrics as the tables of the field use them.

Each metric is a ``torchmetrics.Metric`` with ``update(fused, source_a, source_b)`` and a pure function with
one value per image. Images are ``(B, 1, H, W)`` or ``(B, 3, H, W)`` with integers 0..255; `quantise` makes them of
a network's output:

    metric = Entropy()
    metric.update(quantise(fused), quantise(source_a), quantise(source_b))
    metric.compute()

Which variants and which treatment of colour a published table has: `fusion_lab.metrics.protocols`, docs/METRICS.md.
"""

from collections.abc import Iterable

from torch import Tensor

from fusion_lab.metrics.base import FusionMetric, quantise
from fusion_lab.metrics.chen_blum import Qcb, chen_blum
from fusion_lab.metrics.chen_varshney import Qcv, chen_varshney
from fusion_lab.metrics.correlation import (
    CorrelationCoefficient,
    SumCorrelationDifferences,
    correlation_coefficient,
    sum_correlation_differences,
)
from fusion_lab.metrics.divergence import CrossEntropy, TsallisEntropy, cross_entropy, tsallis_entropy
from fusion_lab.metrics.edge_preservation import EdgePreservation, edge_preservation
from fusion_lab.metrics.exposure_similarity import MEFSSIM, mef_ssim
from fusion_lab.metrics.feature_information import FeatureMutualInformation, feature_mutual_information
from fusion_lab.metrics.fusion_artifacts import FusionArtifacts, fusion_artifacts
from fusion_lab.metrics.fusion_fidelity import VIFF, fusion_fidelity
from fusion_lab.metrics.information import (
    Entropy,
    FusionMutualInformation,
    NormalizedMutualInformation,
    Qncie,
    entropy,
    fusion_mutual_information,
    normalized_mutual_information,
    qncie,
)
from fusion_lab.metrics.pixel_errors import (
    MeanSquaredError,
    PeakSignalNoiseRatio,
    VIFBRootMeanSquaredError,
    mean_squared_error,
    peak_signal_noise_ratio,
    vifb_root_mean_squared_error,
)
from fusion_lab.metrics.reference import ReferencePSNR, ReferenceSSIM, reference_psnr, reference_ssim
from fusion_lab.metrics.statistics import (
    AverageGradient,
    EdgeIntensity,
    SpatialFrequency,
    StandardDeviation,
    average_gradient,
    edge_intensity,
    spatial_frequency,
    standard_deviation,
)
from fusion_lab.metrics.structural_similarity import FusionSSIM, fusion_ssim
from fusion_lab.metrics.visual_information import (
    VisualInformationFidelitySum,
    visual_information_fidelity_sum,
)
from fusion_lab.metrics.wavelet_information import WaveletVIF, wavelet_information_fidelity
from fusion_lab.metrics.weighted_similarity import (
    Qc,
    Qw,
    Qy,
    cvejic_similarity,
    piella_edge_similarity,
    yang_similarity,
)

__all__ = [
    "MEFSSIM",
    "VIFF",
    "AverageGradient",
    "CorrelationCoefficient",
    "CrossEntropy",
    "EdgeIntensity",
    "EdgePreservation",
    "Entropy",
    "FeatureMutualInformation",
    "FusionArtifacts",
    "FusionMetric",
    "FusionMutualInformation",
    "FusionSSIM",
    "MeanSquaredError",
    "NormalizedMutualInformation",
    "PeakSignalNoiseRatio",
    "Qc",
    "Qcb",
    "Qcv",
    "Qncie",
    "Qw",
    "Qy",
    "ReferencePSNR",
    "ReferenceSSIM",
    "SpatialFrequency",
    "StandardDeviation",
    "SumCorrelationDifferences",
    "TsallisEntropy",
    "VIFBRootMeanSquaredError",
    "VisualInformationFidelitySum",
    "WaveletVIF",
    "average_gradient",
    "chen_blum",
    "chen_varshney",
    "correlation_coefficient",
    "cross_entropy",
    "cvejic_similarity",
    "edge_intensity",
    "edge_preservation",
    "entropy",
    "feature_mutual_information",
    "fusion_artifacts",
    "fusion_fidelity",
    "fusion_mutual_information",
    "fusion_ssim",
    "mean_squared_error",
    "mef_ssim",
    "normalized_mutual_information",
    "peak_signal_noise_ratio",
    "piella_edge_similarity",
    "qncie",
    "quantise",
    "reference_psnr",
    "reference_ssim",
    "scores",
    "spatial_frequency",
    "standard_deviation",
    "sum_correlation_differences",
    "tsallis_entropy",
    "vifb_root_mean_squared_error",
    "visual_information_fidelity_sum",
    "wavelet_information_fidelity",
    "yang_similarity",
]


def scores(fused: Tensor, source_a: Tensor, source_b: Tensor, metrics: Iterable[FusionMetric]) -> dict[str, float]:
    """Score one batch, usually one image, without touching the metrics' states.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        source_a: Like ``fused``.
        source_b: Like ``fused``.
        metrics: The metrics wanted.

    Returns:
        The mean over the batch by the metric's label, such as ``{"EN": 7.1, "MI": 3.9}``.

    Raises:
        FusionLabError: Images that a metric refuses.
    """
    return {metric.label: metric.score(fused, source_a, source_b).mean().item() for metric in metrics}
