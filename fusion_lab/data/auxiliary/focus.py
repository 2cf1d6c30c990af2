"""Multi-focus pairs made from sharp images."""

from functools import partial
from typing import ClassVar, Literal

import numpy as np
from kornia.color import linear_rgb_to_rgb, rgb_to_linear_rgb
from numpy.typing import NDArray
from torch import Tensor

from fusion_lab.data.auxiliary.base import Recipe, Synthesis
from fusion_lab.data.focus_maps import FocusMap, SmoothMap
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.two_layers import blend, compose_layers, disc_blur, gaussian_blur
from fusion_lab.errors import FusionLabError

_BLURS = {"gaussian": gaussian_blur, "disc": disc_blur}


class FocusSynthesis(Synthesis):
    """A far- and a near-focused image; the visible image, all in focus, is their ideal fusion.

    By default as GIFNet's training pictures: its supplement says that clear images are partly blurred, and the released
    weights undo a Gaussian of standard deviation 3 best (Pillow's ``GaussianBlur(3)``).

    Args:
        focus_map: Which part of a scene is near; smooth blobs unless given.
        kernel: What a point out of focus becomes: a ``gaussian``, or the ``disc`` of a round aperture.
        radius: The least and the largest standard deviation of the Gaussian, or radius of the disc, in pixels.
        linear_light: Blur light, as a lens does, not the encoded values: lamps stay bright.
        occlusion: What is near hides what is far, and spills over it when out of focus; plain blending otherwise.
        contrast: The least and the largest share of the clear image's contrast that a source keeps, drawn for each
            source: below 1 the sources are hazy, and the network learns to restore contrast.
        veil: The grey value in [0, 1] that haze draws all others to.
        veil_of_mean: If given, this share of the clear image's mean is the veil, and `veil` the most that it may be:
            haze of one grey value would brighten dark scenes, and the network would learn to darken them.
    """

    task: ClassVar[str] = "mff"

    def __init__(
        self,
        focus_map: FocusMap | None = None,
        kernel: Literal["gaussian", "disc"] = "gaussian",
        radius: tuple[float, float] = (3.0, 3.0),
        linear_light: bool = False,
        occlusion: bool = False,
        contrast: tuple[float, float] = (1.0, 1.0),
        veil: float = 0.5,
        veil_of_mean: float | None = None,
    ) -> None:
        low, high = radius
        if not 0 < low <= high:
            raise FusionLabError(f"`radius` should be two numbers, 0 < low <= high. Found `radius = {list(radius)}`.")
        if not 0 < contrast[0] <= contrast[1] <= 1:
            raise FusionLabError(
                f"`contrast` should be two numbers, 0 < low <= high <= 1. Found `contrast = {list(contrast)}`."
            )
        if kernel not in _BLURS:
            raise FusionLabError(f"`kernel` should be one of {', '.join(_BLURS)}. Found `kernel = {kernel}`.")
        self.focus_map = focus_map or SmoothMap()
        self.radius = (low, high)
        self.blur = _BLURS[kernel]
        self.needs_colour = linear_light
        self.occlusion = occlusion
        self.contrast = (contrast[0], contrast[1])
        self.veil = veil
        self.veil_of_mean = veil_of_mean

    @property
    def companions(self) -> dict[str, str]:
        """What the focus map is made from."""
        return self.focus_map.companions

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> Recipe:
        """Choose ``focus_map`` ``(1, H, W)``, 1 for near, ``radius`` ``()`` and, if hazy, ``contrast`` ``(2,)``."""
        radius = np.asarray(generator.uniform(*self.radius), np.float32)
        recipe = {"focus_map": self.focus_map.draw(clear, companions, generator)[None], "radius": radius}
        if self.contrast != (1, 1):
            recipe["contrast"] = generator.uniform(*self.contrast, size=2).astype(np.float32)
        return recipe

    def render(self, clear: Tensor, recipe: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Make the far- and the near-focused images ``(B, C, H, W)`` of clear ones."""
        blur = partial(self._blur, radius=recipe["radius"])
        light = rgb_to_linear_rgb(clear) if self.needs_colour else clear
        near, far = (compose_layers if self.occlusion else blend)(light, recipe["focus_map"], blur)
        if self.needs_colour:
            near, far = linear_rgb_to_rgb(near), linear_rgb_to_rgb(far)
        far, near = far.clamp(0, 1), near.clamp(0, 1)
        if "contrast" in recipe:
            kept, veil = recipe["contrast"][..., None, None, None], self._veil(clear)
            far, near = veil + kept[:, 0] * (far - veil), veil + kept[:, 1] * (near - veil)
        return far, near

    def _veil(self, clear: Tensor) -> Tensor | float:
        if self.veil_of_mean is None:
            return self.veil
        return (self.veil_of_mean * clear.mean(dim=(1, 2, 3), keepdim=True)).clamp(max=self.veil)

    def _blur(self, maps: Tensor, radius: Tensor) -> Tensor:
        return self.blur(maps, radius, self.radius[1])
