"""The auxiliary task of joint training: two sources made from the visible image, one way a file."""

from fusion_lab.data.auxiliary.base import Synthesis
from fusion_lab.data.auxiliary.exposure import ExposureSynthesis
from fusion_lab.data.auxiliary.focus import FocusSynthesis
from fusion_lab.data.auxiliary.spectral import SpectralSynthesis
from fusion_lab.data.auxiliary.stored import StoredFocus

__all__ = ["ExposureSynthesis", "FocusSynthesis", "SpectralSynthesis", "StoredFocus", "Synthesis"]
