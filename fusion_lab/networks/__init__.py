"""Fusion networks: plain ``torch.nn``, which know nothing of Lightning, configs, files or devices."""

from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.classical import Average, GuidedFilter, LaplacianPyramid, Maximum, Wavelet
from fusion_lab.networks.gifnet import GIFNet
from fusion_lab.networks.ifcnn import IFCNN
from fusion_lab.networks.tita import TITA

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
