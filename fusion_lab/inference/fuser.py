"""Fusing pictures in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusion_lab.data.images import Picture, Pixels, from_pillow, to_pillow
from fusion_lab.data.input_range import InputRange
from fusion_lab.data.pairs import read_source
from fusion_lab.data.rasters import Raster
from fusion_lab.data.stored_image import StoredImage
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.bands import fuse_bands
from fusion_lab.inference.colour import ColourRule, colour_rule, to_common_depth
from fusion_lab.inference.tiling import Order, fuse_many
from fusion_lab.inference.weights import load_network
from fusion_lab.networks.base import FusionNetwork

Colours = Literal["a", "b", "both", "grey"]
COLOURS: tuple[Colours, ...] = ("a", "b", "both", "grey")
Source = Path | str | Image.Image | NDArray[Any] | Tensor


@dataclass(frozen=True)
class Fuser:
    """Fuse pictures with a network, colours included, or rasters band by band.

    Attributes:
        network: The network; it runs on the device that it is on.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.
        white: The value of a raster that the network sees as 1; found in each pair (`white_level`) unless given.
        colours: Whose colours a fused picture has: those of ``a``, of ``b``, of ``both`` by the rule of the network, or
            none, ``grey``.
    """

    network: FusionNetwork
    memory_limit: float = 6.0
    white: float | None = None
    colours: Colours = "both"

    def __post_init__(self) -> None:
        if self.colours not in COLOURS:
            raise FusionLabError(f"`colours` should be one of {', '.join(COLOURS)}. Found `colours = {self.colours}`.")
        if self.white is not None and self.white <= 0:
            raise FusionLabError(f"`white` should be positive. Found `white = {self.white:g}`.")

    def __call__(self, a: Picture, b: Picture) -> Picture:
        """Fuse two pictures of the same size to one that is grey if both are, as deep as the deeper one.

        Raises:
            FusionLabError: The sizes differ, a side is shorter than 8 pixels, or the network fails.
        """
        return self.fuse_many((a, b))

    def fuse_many(self, pictures: Sequence[Picture], order: Order = "fold") -> Picture:
        """Fuse two or more pictures of the same size, such as a focus stack, to one that is grey if all are.

        Args:
            pictures: The pictures. With the ``colours`` of ``a`` the first gives them, with those of ``b`` the others.
            order: How networks of two sources take more of them (`fusion_lab.inference.tiling.fuse_many`).

        Raises:
            FusionLabError: There are less than two, the sizes differ, a side is shorter than 8 pixels, or the network
                fails.
        """
        fused = fuse_many(self.network, sources_of(self.network, *pictures), self.memory_limit, order)
        return paint(pictures, fused[0, 0], colour_rule(self.network), self.colours)

    def fuse_bands(self, a: Raster, b: Raster) -> Raster:
        """Fuse each band of a raster with a panchromatic image, or with the same band: see `bands.fuse_bands`."""
        return fuse_bands(self.network, a, b, self.white, self.memory_limit)


def sources_of(network: FusionNetwork, *pictures: Picture) -> list[Tensor]:
    """Return what a network sees of pictures, by its colour rule: ``(1, 1, H, W)`` float32 in [0, 1] each."""
    rule = colour_rule(network)
    alike = to_common_depth(pictures)
    levels = [rule.luminance(picture).astype(np.float32) / np.float32(picture.levels) for picture in alike]
    return [torch.from_numpy(each)[None, None] for each in levels]


def paint(sources: Sequence[Picture], fused: Tensor, rule: ColourRule, colours: Colours = "both") -> Picture:
    """Put the colours of pictures around their fused luminance.

    Args:
        sources: The sources, ``(H, W)`` or ``(H, W, 3)``, of one size.
        fused: The fused luminance ``(H, W)``; what leaves [0, 1] is cut.
        rule: How, and how levels become whole numbers.
        colours: Whose colours, as of `Fuser`: infrared in false colours has some that nobody wants.

    Raises:
        FusionLabError: The luminance is infinite or undefined somewhere.
    """
    if not fused.isfinite().all():
        raise FusionLabError("The network gives infinite or undefined levels: its weights are not usable.")
    first, *others = sources
    shown = [
        first if colours in ("a", "both") else first.without_colours(),
        *(other if colours in ("b", "both") else other.without_colours() for other in others),
    ]
    return rule.merge_all(shown, fused.double().clamp(0, 1).cpu().numpy())


def fuse(
    a: Source,
    b: Source,
    network: FusionNetwork | None = None,
    memory_limit: float = 6.0,
    range_a: str = "full",
    range_b: str = "full",
    colours: Colours = "both",
) -> Image.Image:
    """Fuse two images.

    Args:
        a: The first source: a path, an image of Pillow, an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``,
            or a tensor ``(1, H, W)`` or ``(3, H, W)``, also with a leading 1. Levels are uint8, uint16, or
            floating-point numbers in [0, 1], which are rounded to 8 bits; with a range, values of any kind.
        b: The second source, of the same size.
        network: The network; None for the one that comes with the package.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.
        range_a: Which values of the first source are black and white (`InputRange`): ``full``, ``minmax``, percentiles
            such as ``1%..99%``, or levels such as ``7000..9500``.
        range_b: The same of the second source.
        colours: Whose colours the result has, as of `Fuser`.

    Returns:
        ``L`` where both sources are grey, ``RGB`` otherwise, ``LA`` or ``RGBA`` where one has alpha. 16-bit
        sources give ``I;16`` where they are grey without alpha, and 8 bits otherwise, since Pillow holds no
        16-bit colours: `image_files.fuse_files` keeps them.

    Raises:
        FusionLabError: A source cannot be read or is of another kind, the sizes differ, or a side is shorter
            than 8 pixels.
    """
    first, second = _to_picture(a, "`a`", InputRange.of(range_a)), _to_picture(b, "`b`", InputRange.of(range_b))
    return to_pillow(Fuser(network or load_network(), memory_limit, colours=colours)(first, second))


def _to_picture(source: Source, name: str, input_range: InputRange) -> Picture:
    if isinstance(source, str | Path):
        return read_source(Path(source), input_range)
    if isinstance(source, Image.Image):
        return from_pillow(source, name, input_range)
    if isinstance(source, Tensor):
        source = _channels_last(source, name)
    if not isinstance(source, np.ndarray):
        raise FusionLabError(f"The source {name} is a {type(source).__name__}: give a path, image, array or tensor.")
    if source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] not in (3, 4)) or not source.size:
        raise FusionLabError(f"The source {name} has the shape {source.shape}: give (H, W), (H, W, 3) or (H, W, 4).")
    source = source.astype(source.dtype.newbyteorder("="), copy=False)
    whole = source.dtype in (np.uint8, np.uint16)
    levels = source if input_range.kind != "full" else _to_levels(source, name)
    colour, alpha = (
        (levels, None)
        if levels.ndim == 2
        else (levels[..., :3], levels[..., 3:].squeeze(-1) if levels.shape[2] == 4 else None)
    )
    if input_range.kind == "full":
        return Picture(colour, alpha)
    return StoredImage(name, colour, alpha, int(np.iinfo(source.dtype).max) if whole else None).picture(input_range)


def _channels_last(tensor: Tensor, name: str) -> NDArray[Any]:
    """Turn ``(1, H, W)`` into ``(H, W)`` and ``(3, H, W)`` into ``(H, W, 3)``, a leading 1 allowed."""
    shape = tuple(tensor.shape)
    if len(shape) == 4 and shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] not in (1, 3):
        raise FusionLabError(f"The source {name} has the shape {shape}: give (1, H, W) or (3, H, W), one image.")
    tensor = tensor.detach().cpu()
    # NumPy has no bfloat16.
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return array[0] if len(array) == 1 else np.ascontiguousarray(array.transpose(1, 2, 0))


def _to_levels(array: NDArray[Any], name: str) -> Pixels:
    if array.dtype in (np.uint8, np.uint16):
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise FusionLabError(f"The source {name} holds {array.dtype}: give uint8, uint16 or floats in [0, 1].")
    # Written so that NaN fails too.
    if not (array.min() >= 0 and array.max() <= 1):
        raise FusionLabError(
            f"The source {name} has levels from {array.min():g} to {array.max():g}: give floats in [0, 1]."
        )
    return np.rint(array * 255).astype(np.uint8)
