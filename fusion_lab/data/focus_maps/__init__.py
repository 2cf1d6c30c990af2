"""Focus maps: which part of a scene is near, one kind a file."""

from fusion_lab.data.focus_maps.base import FocusMap
from fusion_lab.data.focus_maps.depth import DepthMap
from fusion_lab.data.focus_maps.segments import SegmentMap
from fusion_lab.data.focus_maps.smooth import SmoothMap

__all__ = ["DepthMap", "FocusMap", "SegmentMap", "SmoothMap"]
