"""The metrics against values that were published or computed by the field's own programs.

Each golden value names the program's metric, such as ``"VIFB.Mutinf"``. `PROGRAMS` says how to get it: how the program
treats colour, and which function of this project its metric equals. What the programs do that nobody should follow
is written out here.
"""

import math
from unittest import mock

import pytest
import torch
from torch import Tensor

from fusion_lab import metrics
from fusion_lab.metrics import features
from tests.parity import tang_2022
from tests.parity.metric_programs import (
    Program,
    Score,
    check_golden_values,
    colour,
    grey_of_matlab,
    grey_of_opencv,
    of_all,
    of_fused,
)

pytestmark = pytest.mark.shared


def unit_mean_squared_error(*images: Tensor) -> Tensor:
    """In units of [0, 1]."""
    return metrics.mean_squared_error(*images) / 255**2


def cddfuse_peak_signal_noise_ratio(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """The peak is the brightest level of the fused image."""
    return 20 * torch.log10(fused.amax() / 255) + metrics.peak_signal_noise_ratio(fused, source_a, source_b)


def octave_cosine_transform(level: Tensor) -> Tensor:
    """Matrix products without taking the mean out: of a constant image the rounding noise is left."""
    height, width = (_octave_cosines(side) for side in level.shape[1:])
    return height @ level @ width.T


def _octave_cosines(side: int) -> Tensor:
    index = torch.arange(side, dtype=torch.float64)
    matrix = torch.cos(math.pi / side * (index + 0.5) * index[:, None]) * (2 / side) ** 0.5
    matrix[0] = (1 / side) ** 0.5
    return matrix


def octave_feature_information(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    with mock.patch.dict(features.FEATURES, dct=octave_cosine_transform):
        return metrics.feature_mutual_information(fused, source_a, source_b, "dct")


def nabf_as_called(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Tang's script of 2023 passes the fused image last."""
    return metrics.fusion_artifacts(source_a, source_b, fused)


MATLAB_TANG: dict[str, Score] = {
    "EN": of_fused(metrics.entropy),
    "MI": of_all(metrics.fusion_mutual_information, variant="tang"),
    "AG": of_fused(metrics.average_gradient),
    "CC": of_all(metrics.correlation_coefficient),
    "SCD": of_all(metrics.sum_correlation_differences),
    "MSE": unit_mean_squared_error,
    "PSNR": of_all(metrics.peak_signal_noise_ratio, variant="tang"),
}
TEXTFUSION: dict[str, Score] = {
    "Qabf": of_all(metrics.edge_preservation),
    "SCD": of_all(metrics.sum_correlation_differences),
    "SCD_uint8": of_all(metrics.sum_correlation_differences, saturate=True),
}
PROGRAMS = {
    "VIFB": Program(
        colour,
        {
            "Cross_entropy": of_all(metrics.cross_entropy),
            "Entropy": of_fused(metrics.entropy),
            "Mutinf": of_all(metrics.fusion_mutual_information, base=math.e, variant="vifb"),
            "Psnr": of_all(metrics.peak_signal_noise_ratio, variant="vifb"),
            "Rmse": of_all(metrics.vifb_root_mean_squared_error),
            "Variance": of_fused(metrics.standard_deviation),
            "Spatial_frequency": of_fused(metrics.spatial_frequency, norm="vifb"),
            "Avg_gradient": of_fused(metrics.average_gradient),
            "Edge_intensity": of_fused(metrics.edge_intensity),
            "Qabf": of_all(metrics.edge_preservation),
        },
    ),
    "MEFB": Program(
        colour,
        {
            "Cross_entropy": of_all(metrics.cross_entropy),
            "Entropy": of_fused(metrics.entropy),
            "FMI": of_all(metrics.feature_mutual_information),
            "NMI": of_all(metrics.normalized_mutual_information),
            "Psnr": of_all(metrics.peak_signal_noise_ratio, variant="vifb"),
            "Qncie": of_all(metrics.qncie),
            "TE": of_all(metrics.tsallis_entropy),
            "SD": of_fused(metrics.standard_deviation),
            "Spatial_frequency": of_fused(metrics.spatial_frequency, norm="n"),
            "Avg_gradient": of_fused(metrics.average_gradient),
            "Edge_intensity": of_fused(metrics.edge_intensity),
            "Qabf": of_all(metrics.edge_preservation),
        },
    ),
    "Tang2022": Program(
        grey_of_matlab,
        MATLAB_TANG
        | {
            "SD": tang_2022.saturating_standard_deviation,
            "SF": lambda fused, *_: metrics.spatial_frequency(fused) / 255,
            "VIF": tang_2022.saturating_visual_information,
            "Qabf": tang_2022.edge_preservation_of_unit_range,
        },
    ),
    "Tang2023": Program(
        grey_of_matlab,
        MATLAB_TANG
        | TEXTFUSION
        | {
            "SD": of_fused(metrics.standard_deviation),
            "SF": of_fused(metrics.spatial_frequency),
            "VIF": of_all(metrics.visual_information_fidelity_sum),
            "FMI_pixel": of_all(metrics.feature_mutual_information),
            "FMI_pixel_swapAB": lambda fused, a, b: metrics.feature_mutual_information(fused, b, a),
            "FMI_gradient": of_all(metrics.feature_mutual_information, feature="gradient"),
            "FMI_dct": octave_feature_information,
            "FMI_none": of_all(metrics.feature_mutual_information, feature="pixel"),
            "Nabf": of_all(metrics.fusion_artifacts),
            "Nabf_as_called": nabf_as_called,
        },
    ),
    "CDDFuse": Program(
        grey_of_opencv,
        {
            "EN": of_fused(metrics.entropy),
            "MI": of_all(metrics.fusion_mutual_information, base=math.e),
            "SD": of_fused(metrics.standard_deviation),
            "SF": of_fused(metrics.spatial_frequency),
            "AG": of_fused(metrics.average_gradient, norm="n"),
            "CC": of_all(metrics.correlation_coefficient),
            "SCD": of_all(metrics.sum_correlation_differences),
            "MSE": of_all(metrics.mean_squared_error),
            "PSNR": cddfuse_peak_signal_noise_ratio,
            "Qabf": of_all(metrics.edge_preservation),
            "VIF": of_all(metrics.visual_information_fidelity_sum),
        },
    ),
    "TextFusion": Program(grey_of_matlab, TEXTFUSION),
}


@pytest.mark.parametrize(
    ("program", "metric"),
    [(program, metric) for program, entry in PROGRAMS.items() for metric in entry.scores],
)
def test_golden_values(shared, program, metric):
    check_golden_values(shared, program, metric, PROGRAMS[program])
