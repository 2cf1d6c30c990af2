"""Pairs of two spectral bands made from colour photographs."""

from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.auxiliary.base import Recipe, Synthesis
from fusion_lab.data.colour import luma
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.two_layers import gaussian_blur
from fusion_lab.errors import FusionLabError


class SpectralSynthesis(Synthesis):
    """A visible image and one as of another band, such as near infrared; which of them is first is drawn.

    What is seen in both bands has the same fine detail and other brightness: leaves that are dark in visible light are
    bright in near infrared, and haze and lamps vanish. So the visible image is the photograph, darkened by a power and
    clipped where it is brightest, and the other band is a mixture of its colours whose coarse brightness is drawn to,
    or beyond, one level. The visible image is not their ideal fusion: train without a target.

    Args:
        power: The least and the largest power of the visible image's luminance.
        gain: The least and the largest factor after it.
        spread: How far the share of each colour in the other band may be from a third; beyond 1/3 it may be negative.
        coarse: The least and the largest share of its coarse brightness that the other band keeps; negative: inverted.
        level: The least and the largest level in [0, 1] that coarse brightness is drawn to.
        radius: Standard deviation in pixels of the Gaussian that makes the coarse brightness.
    """

    task: ClassVar[str] = "nir"
    needs_colour = True

    def __init__(
        self,
        power: tuple[float, float] = (1.0, 2.2),
        gain: tuple[float, float] = (1.0, 1.6),
        spread: float = 0.7,
        coarse: tuple[float, float] = (-0.3, 1.0),
        level: tuple[float, float] = (0.2, 0.6),
        radius: float = 8.0,
    ) -> None:
        self.ranges = {"power": power, "gain": gain, "coarse": coarse, "level": level}
        for name, (low, high) in self.ranges.items():
            if not low <= high:
                raise FusionLabError(f"`{name}` should be two numbers, low <= high. Found `{name} = [{low}, {high}]`.")
        for name, least in (("power", power[0]), ("gain", gain[0]), ("radius", radius)):
            if not least > 0:
                raise FusionLabError(f"`{name}` should be greater than 0. Found `{name} = {least}`.")
        self.spread = spread
        self.radius = radius

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> Recipe:
        """Choose ``power``, ``gain``, ``coarse``, ``level``, ``swapped`` (0 or 1), ``()`` each, ``shares`` ``(3,)``."""
        chosen: Recipe = {
            name: np.asarray(generator.uniform(*limits), np.float32) for name, limits in self.ranges.items()
        }
        shares = generator.uniform(-self.spread, self.spread, size=3)
        chosen["shares"] = (1 / 3 + shares - shares.mean()).astype(np.float32)
        chosen["swapped"] = np.asarray(generator.integers(2), np.float32)
        return chosen

    def render(self, clear: Tensor, recipe: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Make the images of the two bands, luminance ``(B, 1, H, W)``, of photographs ``(B, 3, H, W)``."""
        numbers = {name: value.reshape(len(clear), -1, 1, 1) for name, value in recipe.items()}
        visible = (numbers["gain"] * luma(clear) ** numbers["power"]).clamp(0, 1)
        band = (numbers["shares"] * clear).sum(dim=1, keepdim=True).clamp(0, 1)
        coarse = gaussian_blur(band, torch.full_like(recipe["level"], self.radius), self.radius)
        other = (band - (1 - numbers["coarse"]) * (coarse - numbers["level"])).clamp(0, 1)
        swapped = numbers["swapped"] == 1
        return torch.where(swapped, other, visible), torch.where(swapped, visible, other)
