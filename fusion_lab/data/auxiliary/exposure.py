"""Multi-exposure pairs made from photographs."""

from typing import ClassVar

import numpy as np
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.auxiliary.base import Recipe, Synthesis
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.exposure import srgb_to_linear
from fusion_lab.errors import FusionLabError

_LEAST_LIGHT = 1e-6


class ExposureSynthesis(Synthesis):
    """An under- and an over-exposed image; the visible image, well exposed, is their ideal fusion.

    As `fusion_lab.data.synthetic.exposure`, but without noise: the light of the photograph, whose range was compressed
    for the screen, is spread again by a power, multiplied, clipped as a sensor does and rounded to 8 bits. The brighter
    image is white in no more than half of its pixels, or a scene that is bright already would vanish from it.

    Args:
        under_stops: The least and the largest exposure of the darker image, in powers of two of light.
        over_stops: The least and the largest exposure of the brighter image.
        contrast: The least and the largest number of stops of the scene that one stop of the photograph stands for.
    """

    task: ClassVar[str] = "mef"
    needs_colour = True

    def __init__(
        self,
        under_stops: tuple[float, float] = (-2.0, -0.5),
        over_stops: tuple[float, float] = (1.8, 3.2),
        contrast: tuple[float, float] = (1.2, 1.7),
    ) -> None:
        self.ranges = {"under_stops": under_stops, "over_stops": over_stops, "contrast": contrast}
        for name, (low, high) in self.ranges.items():
            if not low <= high:
                raise FusionLabError(f"`{name}` should be two numbers, low <= high. Found `{name} = [{low}, {high}]`.")
        if contrast[0] <= 0:
            raise FusionLabError(f"`contrast` should be greater than 0. Found `contrast = {list(contrast)}`.")

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> Recipe:
        """Choose ``under_stops``, ``over_stops`` and ``contrast``, each ``()``, of one scene."""
        chosen = {name: generator.uniform(*limits) for name, limits in self.ranges.items()}
        light = srgb_to_linear(np.median(clear, keepdims=True)).item() ** chosen["contrast"]
        chosen["over_stops"] = min(chosen["over_stops"], -np.log2(max(light, _LEAST_LIGHT)))
        return {name: np.asarray(value, np.float32) for name, value in chosen.items()}

    def render(self, clear: Tensor, recipe: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Make the under- and the over-exposed images ``(B, 3, H, W)`` of well exposed ones."""
        stops = {name: value[:, None, None, None] for name, value in recipe.items()}
        scene = rgb_to_linear_rgb(clear) ** stops["contrast"]
        under, over = (_expose(scene, stops[name]) for name in ("under_stops", "over_stops"))
        return under, over


def _expose(scene: Tensor, stops: Tensor) -> Tensor:
    encoded = linear_rgb_to_rgb((scene * 2**stops).clamp(0, 1))
    return (encoded * 255).round() / 255
