"""Mixing tasks: how much of each task is in the batches, one way a file, and the batches themselves."""

from fusion_lab.data.mixing.base import Mixing
from fusion_lab.data.mixing.equal import EqualShares
from fusion_lab.data.mixing.proportional import Proportional
from fusion_lab.data.mixing.sampler import Draw, MixedBatches
from fusion_lab.data.mixing.shares import Shares
from fusion_lab.data.mixing.temperature import Temperature

__all__ = ["Draw", "EqualShares", "MixedBatches", "Mixing", "Proportional", "Shares", "Temperature"]

Equal = EqualShares
"""Its name in older configurations."""
