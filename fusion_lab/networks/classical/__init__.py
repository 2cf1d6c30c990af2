"""Fusion without learning, one method a file: the rows that every table needs for comparison."""

from fusion_lab.networks.classical.average import Average
from fusion_lab.networks.classical.guided_filter import GuidedFilter
from fusion_lab.networks.classical.laplacian_pyramid import LaplacianPyramid
from fusion_lab.networks.classical.maximum import Maximum
from fusion_lab.networks.classical.wavelet import Wavelet

__all__ = ["Average", "GuidedFilter", "LaplacianPyramid", "Maximum", "Wavelet"]
