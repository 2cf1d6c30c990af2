"""Finding how two images of a scene lie on each other, also of different modalities."""

from fusion_lab.registration.alignment import Alignment, find_alignment
from fusion_lab.registration.pictures import align_pictures, warp_picture

__all__ = ["Alignment", "align_pictures", "find_alignment", "warp_picture"]
