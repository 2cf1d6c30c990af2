"""Ways to weigh the losses of the tasks against each other, one a file."""

from fusion_lab.weighting.base import LossWeighting
from fusion_lab.weighting.equal import Equal
from fusion_lab.weighting.famo import FAMO

__all__ = ["FAMO", "Equal", "LossWeighting"]
