"""Data: pairs of images, their mixing into batches, and the modules that Lightning asks for them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusion_lab.data.augmentation import Augmentation
    from fusion_lab.data.datamodules import MultiTaskDataModule
    from fusion_lab.data.embedded_pairs import EmbeddedPairs
    from fusion_lab.data.joint import JointDataModule
    from fusion_lab.data.pairs import PairDataset
    from fusion_lab.data.synthesized_pairs import SynthesizedPairs

__all__ = ["Augmentation", "EmbeddedPairs", "JointDataModule", "MultiTaskDataModule", "PairDataset", "SynthesizedPairs"]

_HOMES = {
    "Augmentation": "augmentation",
    "EmbeddedPairs": "embedded_pairs",
    "JointDataModule": "joint",
    "MultiTaskDataModule": "datamodules",
    "PairDataset": "pairs",
    "SynthesizedPairs": "synthesized_pairs",
}


def __getattr__(name: str) -> Any:
    """Import a class at its first use: reading an image should not wait for Lightning."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fusion_lab.data' has no attribute {name!r}")
    return getattr(import_module(f"fusion_lab.data.{_HOMES[name]}"), name)
