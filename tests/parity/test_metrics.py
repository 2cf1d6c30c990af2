"""The metrics against values that were published or computed by the field's own programs.

Each golden value names the program's metric, such as ``"VIFB.Mutinf"``. `PROGRAMS` says how to get it: how
the program treats colour, and which function of this project its metric equals. Programs that score colour
channel by channel are met by making each channel an image of the batch and taking the mean.
"""

import math

import pytest
import torch
from torch import Tensor

from fusion_lab import metrics
from tests.parity.metric_programs import (
    Program,
    Score,
    channels,
    check_golden_values,
    grey_of_matlab,
    grey_of_opencv,
    of_all,
    of_fused,
)

pytestmark = pytest.mark.shared


def stretched(image: Tensor) -> Tensor:
    """VIFB stretches each channel to 0..255 before its mutual information."""
    low, high = image.amin((2, 3), keepdim=True), image.amax((2, 3), keepdim=True)
    return torch.floor((image - low) / (high - low) * 255 + 0.5)


def vifb_mutual_information(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    images = (stretched(image) for image in (fused, source_a, source_b))
    return metrics.fusion_mutual_information(*images, base=math.e)


def vifb_spatial_frequency(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """VIFB lays the three channels side by side, so that differences across their borders count."""
    return metrics.spatial_frequency(torch.cat(list(fused), dim=-1)[None], norm="n")


def tang_mutual_information(fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
    """Tang's joint histograms hold levels 254 and 255 in one bin, the histograms of single images do not."""
    merged = [(image + 1).clamp(max=255) for image in (fused, source_a, source_b)]
    merged_entropy = 2 * metrics.entropy(merged[0]) + metrics.entropy(merged[1]) + metrics.entropy(merged[2])
    plain_entropy = 2 * metrics.entropy(fused) + metrics.entropy(source_a) + metrics.entropy(source_b)
    return metrics.fusion_mutual_information(*merged) - merged_entropy + plain_entropy


MATLAB_TANG: dict[str, Score] = {
    "EN": of_fused(metrics.entropy),
    "MI": tang_mutual_information,
    "AG": of_fused(metrics.average_gradient),
    "CC": of_all(metrics.correlation_coefficient),
    "SCD": of_all(metrics.sum_correlation_differences),
}
TEXTFUSION: dict[str, Score] = {
    "Qabf": of_all(metrics.edge_preservation),
    "SCD": of_all(metrics.sum_correlation_differences),
    "SCD_uint8": of_all(metrics.sum_correlation_differences, saturate=True),
}
PROGRAMS = {
    "VIFB": Program(
        channels,
        {
            "Entropy": of_fused(metrics.entropy),
            "Mutinf": vifb_mutual_information,
            "Variance": of_fused(metrics.standard_deviation),
            "Spatial_frequency": vifb_spatial_frequency,
            "Avg_gradient": of_fused(metrics.average_gradient),
            "Qabf": of_all(metrics.edge_preservation),
        },
    ),
    "MEFB": Program(
        channels,
        {
            "Entropy": of_fused(metrics.entropy),
            "SD": of_fused(metrics.standard_deviation),
            "Spatial_frequency": of_fused(metrics.spatial_frequency, norm="n"),
            "Avg_gradient": of_fused(metrics.average_gradient),
            "Qabf": of_all(metrics.edge_preservation),
        },
    ),
    # The 2022 version scores some metrics in saturating 8-bit arithmetic or in [0, 1]: those are left out.
    "Tang2022": Program(
        grey_of_matlab,
        MATLAB_TANG | {"SF": lambda fused, *_: metrics.spatial_frequency(fused) / 255},
    ),
    "Tang2023": Program(
        grey_of_matlab,
        MATLAB_TANG
        | TEXTFUSION
        | {
            "SD": of_fused(metrics.standard_deviation),
            "SF": of_fused(metrics.spatial_frequency),
            "VIF": of_all(metrics.visual_information_fidelity_sum),
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
