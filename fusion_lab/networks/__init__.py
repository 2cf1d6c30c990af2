"""Fusion networks: plain ``torch.nn``, which know nothing of Lightning, configs, files or devices."""

import lazy_loader

# Configurations may name these without their package, which a parser knows of classes that are loaded.
from fusion_lab.networks.base import FusionNetwork as FusionNetwork
from fusion_lab.networks.gifnet import GIFNet as GIFNet
from fusion_lab.networks.ifcnn import IFCNN as IFCNN
from fusion_lab.networks.tita import TITA as TITA

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
