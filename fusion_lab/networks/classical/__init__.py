"""Fusion without learning, one method a file: the rows that every table needs for comparison."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion_lab.networks.classical.average import Average
    from fusion_lab.networks.classical.guided_filter import GuidedFilter
    from fusion_lab.networks.classical.laplacian_pyramid import LaplacianPyramid
    from fusion_lab.networks.classical.maximum import Maximum
    from fusion_lab.networks.classical.wavelet import Wavelet

__all__ = ["Average", "GuidedFilter", "LaplacianPyramid", "Maximum", "Wavelet"]

_HOMES = {
    "Average": "average",
    "GuidedFilter": "guided_filter",
    "LaplacianPyramid": "laplacian_pyramid",
    "Maximum": "maximum",
    "Wavelet": "wavelet",
}


def __getattr__(name: str) -> Any:
    """Import a method at its first use: two of them load kornia, which fusing with a network should not wait for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fusion_lab.networks.classical' has no attribute {name!r}")
    return getattr(import_module(f"fusion_lab.networks.classical.{_HOMES[name]}"), name)
