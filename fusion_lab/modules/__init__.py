"""LightningModules: networks with their objectives, weighting and optimizer."""

from fusion_lab.modules.base import FusionModule
from fusion_lab.modules.gifnet import GIFNetModule
from fusion_lab.modules.tita import TITAModule

__all__ = ["FusionModule", "GIFNetModule", "TITAModule"]
