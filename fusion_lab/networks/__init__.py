"""Fusion networks: plain ``torch.nn``, which know nothing of Lightning, configs, files or devices."""

from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.classical import Average
from fusion_lab.networks.gifnet import GIFNet
from fusion_lab.networks.tita import TITA

__all__ = ["TITA", "Average", "FusionNetwork", "GIFNet"]
