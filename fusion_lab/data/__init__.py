"""Data: pairs of images, their mixing into batches, and the modules that Lightning asks for them."""

from fusion_lab.data.augmentation import Augmentation
from fusion_lab.data.datamodules import MultiTaskDataModule
from fusion_lab.data.embedded_pairs import EmbeddedPairs
from fusion_lab.data.joint import JointDataModule
from fusion_lab.data.pairs import PairDataset

__all__ = ["Augmentation", "EmbeddedPairs", "JointDataModule", "MultiTaskDataModule", "PairDataset"]
