"""Ways to weigh the tasks against each other, one a file: by their losses, or by their gradients."""

from fusion_lab.weighting.aggregation import Aggregation
from fusion_lab.weighting.base import LossWeighting
from fusion_lab.weighting.equal import Equal
from fusion_lab.weighting.famo import FAMO
from fusion_lab.weighting.scalarization import Scalarization

__all__ = ["FAMO", "Aggregation", "Equal", "LossWeighting", "Scalarization"]
