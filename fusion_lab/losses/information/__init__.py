"""How much either source has to tell, one measure a file."""

from fusion_lab.losses.information.base import Information, MeasuredInformation
from fusion_lab.losses.information.densenet import DenseNetInformation
from fusion_lab.losses.information.fixed import FixedInformation
from fusion_lab.losses.information.gradients import GradientInformation

__all__ = ["DenseNetInformation", "FixedInformation", "GradientInformation", "Information", "MeasuredInformation"]
