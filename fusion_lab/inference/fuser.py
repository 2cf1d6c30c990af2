"""Fusing pictures: arrays in memory, two files, or two folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor

from fusion_lab.data.images import (
    Picture,
    Pixels,
    check_image_suffix,
    from_pillow,
    read_picture,
    to_pillow,
    write_picture,
)
from fusion_lab.data.pairs import Pair, PairDataset
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.inference.colour import merge_colours, to_common_depth
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.inference.weights import load_network
from fusion_lab.networks.base import FusionNetwork

Source = Path | str | Image.Image | NDArray[Any] | Tensor


@dataclass(frozen=True)
class Fuser:
    """Fuse pictures with a network, colours included.

    Attributes:
        network: The network; it runs on the device that it is on.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.
    """

    network: FusionNetwork
    memory_limit: float = 6.0

    def __call__(self, a: Picture, b: Picture) -> Picture:
        """Fuse two pictures of the same size to one that is grey if both are, as deep as the deeper one.

        Raises:
            FusionLabError: The sizes differ, a side is shorter than 8 pixels, or the network fails.
        """
        a, b = to_common_depth(a, b)
        fused = fuse_luminance(self.network, _luminance(a), _luminance(b), self.memory_limit)
        return paint(a, b, fused[0, 0])


def paint(a: Picture, b: Picture, fused: Tensor) -> Picture:
    """Round a fused luminance to the levels of its sources and put their colours around it.

    Args:
        a: The first source, ``(H, W)`` or ``(H, W, 3)``.
        b: The second source, of the same size.
        fused: The fused luminance ``(H, W)``; what leaves [0, 1] is cut.

    Raises:
        FusionLabError: The luminance is infinite or undefined somewhere.
    """
    if not fused.isfinite().all():
        raise FusionLabError("The network gives infinite or undefined levels: its weights are not usable.")
    a, b = to_common_depth(a, b)
    levels = (fused.double().clamp(0, 1) * a.levels).round().cpu().numpy().astype(a.pixels.dtype)
    return merge_colours(a, b, levels)


def fuse(a: Source, b: Source, network: FusionNetwork | None = None, memory_limit: float = 6.0) -> Image.Image:
    """Fuse two images.

    Args:
        a: The first source: a path, an image of Pillow, an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``,
            or a tensor ``(1, H, W)`` or ``(3, H, W)``, also with a leading 1. Levels are uint8, uint16, or
            floating-point numbers in [0, 1], which are rounded to 8 bits.
        b: The second source, of the same size.
        network: The network; None for the one that comes with the package.
        memory_limit: The memory that the network may take, in GiB; what needs more is fused in tiles.

    Returns:
        ``L`` where both sources are grey, ``RGB`` otherwise, ``LA`` or ``RGBA`` where one has alpha. 16-bit
        sources give ``I;16`` where they are grey without alpha, and 8 bits otherwise, since Pillow holds no
        16-bit colours: `fuse_files` keeps them.

    Raises:
        FusionLabError: A source cannot be read or is of another kind, the sizes differ, or a side is shorter
            than 8 pixels.
    """
    pictures = [_to_picture(source, f"`{name}`") for name, source in (("a", a), ("b", b))]
    return to_pillow(Fuser(network or load_network(), memory_limit)(*pictures))


def fuse_files(a: Path, b: Path, out: Path, fuser: Fuser, suffix: str = ".png", progress: bool = False) -> list[Path]:
    """Fuse two image files, or two folders of images that are paired by name in any case of letters.

    Args:
        a: The first source, an image or a folder.
        b: The second source, of the same kind.
        out: For images, the file of the result, or a folder that exists; for folders, a folder, made if need
            be. In a folder, a result has the name of its first source. Results that exist are replaced.
        fuser: What fuses.
        suffix: The format of results in a folder, such as ``.png``.
        progress: Show a bar on stderr.

    Returns:
        The files written, in order.

    Raises:
        FusionLabError: An input is missing or broken, names do not pair, sizes differ, or a result cannot be
            written or would replace a source. Results of earlier pairs stay.
    """
    jobs = _jobs(a, b, out, suffix)
    sources = {path.resolve() for pair, _ in jobs for path in (pair.a, pair.b)}
    for _, target in jobs:
        check_image_suffix(target)
        if target.resolve() in sources:
            raise FusionLabError(f"The result {target} would replace a source: choose another output.")
    make_folder(jobs[0][1].parent)
    for pair, target in track(jobs, "Fusing", console=Console(stderr=True), disable=not progress):
        pictures = pair.read()
        try:
            fused = fuser(*pictures)
        except FusionLabError as error:
            raise FusionLabError(f"{pair.a} and {pair.b} cannot be fused: {error}") from None
        write_picture(fused, target)
    return [target for _, target in jobs]


def _jobs(a: Path, b: Path, out: Path, suffix: str) -> list[tuple[Pair, Path]]:
    """Say what to fuse, and where to write it."""
    for path in (a, b):
        if not path.exists():
            raise FusionLabError(f"The source {path} does not exist: check the path.")
    if a.is_dir() != b.is_dir():
        folder, file = (a, b) if a.is_dir() else (b, a)
        raise FusionLabError(f"{folder} is a folder and {file} is a file: give two images or two folders.")
    if a.is_dir():
        if out.exists() and not out.is_dir():
            raise FusionLabError(f"The output {out} is a file, but two folders need a folder: name another one.")
        pairs = PairDataset(".", str(a), str(b)).pairs
        return [(pair, out / f"{pair.a.stem}{suffix}") for pair in pairs]
    return [(Pair(a.stem, a, b), out / f"{a.stem}{suffix}" if out.is_dir() else out)]


def _luminance(picture: Picture) -> Tensor:
    """Give ``(1, 1, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(picture.luminance().astype(np.float32) / np.float32(picture.levels))[None, None]


def _to_picture(source: Source, name: str) -> Picture:
    if isinstance(source, str | Path):
        return read_picture(Path(source))
    if isinstance(source, Image.Image):
        return from_pillow(source, name)
    if isinstance(source, Tensor):
        source = _channels_last(source, name)
    if not isinstance(source, np.ndarray):
        raise FusionLabError(f"The source {name} is a {type(source).__name__}: give a path, image, array or tensor.")
    if source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] not in (3, 4)) or not source.size:
        raise FusionLabError(f"The source {name} has the shape {source.shape}: give (H, W), (H, W, 3) or (H, W, 4).")
    levels = _to_levels(source, name)
    if levels.ndim == 2:
        return Picture(levels)
    return Picture(levels[..., :3], levels[..., 3] if levels.shape[2] == 4 else None)


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
