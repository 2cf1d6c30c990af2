"""Loss terms, one a file; an objective is a dictionary of weighted terms."""

from fusion_lab.losses.base import LossTerm, Objective
from fusion_lab.losses.edge_preservation import EdgePreservation
from fusion_lab.losses.error import SquaredError
from fusion_lab.losses.exposure_structure import ExposureStructure
from fusion_lab.losses.information_error import InformationError
from fusion_lab.losses.intensity import Intensity
from fusion_lab.losses.multi_scale_structure import MultiScaleStructure
from fusion_lab.losses.structure import Structure
from fusion_lab.losses.texture import Texture
from fusion_lab.losses.visual_information import VisualInformation

__all__ = [
    "EdgePreservation",
    "ExposureStructure",
    "InformationError",
    "Intensity",
    "LossTerm",
    "MultiScaleStructure",
    "Objective",
    "SquaredError",
    "Structure",
    "Texture",
    "VisualInformation",
]
