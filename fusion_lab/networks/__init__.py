"""Fusion networks: plain ``torch.nn``, which know nothing of Lightning, configs, files or devices."""

from typing import TYPE_CHECKING, Any

from fusion_lab.networks import classical
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.gifnet import GIFNet
from fusion_lab.networks.ifcnn import IFCNN
from fusion_lab.networks.tita import TITA

if TYPE_CHECKING:
    from fusion_lab.networks.classical import Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet

__all__ = [
    "IFCNN",
    "TITA",
    "Average",
    "FusionNetwork",
    "GIFNet",
    "GuidedFilter",
    "LaplacianPyramid",
    "Maximum",
    "Wavelet",
]


def __getattr__(name: str) -> Any:
    """Import a classical method at its first use."""
    if name not in classical.__all__:
        raise AttributeError(f"module 'fusion_lab.networks' has no attribute {name!r}")
    return getattr(classical, name)
