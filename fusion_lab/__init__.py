"""fusion_lab: train, ablate, compare and use unified image-fusion networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from fusion_lab.data.pairs import load_pairs
    from fusion_lab.evaluation.scores import Scores, evaluate
    from fusion_lab.inference.fuser import fuse
    from fusion_lab.inference.video import FusedVideo, fuse_video
    from fusion_lab.inference.weights import load_network
    from fusion_lab.runs.result import Result
    from fusion_lab.runs.run import Run
    from fusion_lab.studies.study import Study

__version__ = "0.1.0"
__all__ = [
    "FusedVideo",
    "FusionLabError",
    "Result",
    "Run",
    "Scores",
    "Study",
    "evaluate",
    "fuse",
    "fuse_video",
    "load_network",
    "load_pairs",
]

_HOMES = {
    "FusedVideo": "fusion_lab.inference.video",
    "Result": "fusion_lab.runs.result",
    "Run": "fusion_lab.runs.run",
    "Scores": "fusion_lab.evaluation.scores",
    "Study": "fusion_lab.studies.study",
    "evaluate": "fusion_lab.evaluation.scores",
    "fuse": "fusion_lab.inference.fuser",
    "fuse_video": "fusion_lab.inference.video",
    "load_network": "fusion_lab.inference.weights",
    "load_pairs": "fusion_lab.data.pairs",
}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use: ``import fusion_lab`` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fusion_lab' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
