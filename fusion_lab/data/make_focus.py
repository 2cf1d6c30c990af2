"""Writing multi-focus versions of visible images beside their infrared partners, in the layout of GIFNet's release."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from fusion_lab.data.auxiliary.base import Synthesis
from fusion_lab.data.images import Picture, write_picture
from fusion_lab.data.pairs import Pair, PairDataset, cut
from fusion_lab.data.scenes import Scenes, find_companions, read_scene, scene, stack
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, sha256, write_text

ROLES = ("visible", "infrared", "visible_focus_near", "visible_focus_far")
_MANIFEST = "manifest.json"
_SAVE_EVERY = 50
"""Pairs after which the manifest is brought up to date: an interrupted run makes so many again at most."""

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Patch:
    """A square of a scene, or all of it where no size is given."""

    top: int = 0
    left: int = 0
    size: int | None = None

    def __call__(self, images: dict[str, NDArray[Any]], seed: int, name: str) -> dict[str, NDArray[Any]]:
        """Cut the square out of images ``(H, W)`` or ``(H, W, C)``."""
        rows, columns = (slice(start, start + self.size if self.size else None) for start in (self.top, self.left))
        return {role: image[rows, columns] for role, image in images.items()}


@dataclass(frozen=True)
class RenderedScene:
    """One image, or one patch of it, with both auxiliary sources rendered in colour."""

    name: str
    window: Patch
    pictures: dict[str, Picture]
    scenes: Scenes
    source_a: Tensor
    """Far focus, ``(1, 3, H, W)`` in [0, 1]."""
    source_b: Tensor
    """Near focus, ``(1, 3, H, W)`` in [0, 1]."""


def rendered_scenes(
    pair: Pair, companions: dict[str, Path], synthesis: Synthesis, seed: int, patch: int | None
) -> Iterator[RenderedScene]:
    """Render a pair, or its patches on a grid around the centre; the seed and the name alone decide what is random.

    Raises:
        FusionLabError: A file cannot be read, the sizes differ, or the pair is smaller than a patch.
    """
    pictures = read_scene(pair, companions)
    height, width = pictures["source_a"].size
    if patch and min(height, width) < patch:
        raise FusionLabError(
            f"The pair '{pair.name}' ({width}x{height}) is smaller than a patch of {patch} pixels: "
            "leave it out or choose a smaller `--patch`."
        )
    for window in _windows(height, width, patch):
        name = _flat(pair.name) + (f"_{window.top:04d}_{window.left:04d}" if patch else "")
        parts = cut(pictures, window, 0, name)
        scenes = stack([scene(parts, synthesis, crc32(f"{seed} {name}".encode()), pair)])
        yield RenderedScene(name, window, parts, scenes, *synthesis.render(scenes.visible, scenes.recipe))


def make_focus(
    dataset: PairDataset,
    folder: Path,
    synthesis: Synthesis,
    settings: Manifest,
    seed: int = 0,
    split: str = "train",
    patch: int | None = None,
) -> tuple[int, int]:
    """Write ``folder/{visible,infrared,visible_focus_near,visible_focus_far}/SPLIT/NAME.png`` for every pair.

    ``manifest.json`` holds the settings and, for each pair, its sources, the radius of the blur and the SHA-256 of each
    file. What it lists and what is there is kept; the rest is made, so that an interrupted run is gone on with.

    Args:
        dataset: Pairs of a visible and an infrared image.
        folder: The folder to write.
        synthesis: How the images get out of focus.
        settings: All that decides what is written, as JSON: a folder made with others is refused.
        seed: Seed of all that is random.
        split: Name of the folders that the files are in.
        patch: Write square patches of so many pixels, cut before anything is blurred; whole images unless given.

    Returns:
        How many pairs were made, and how many were there already.

    Raises:
        FusionLabError: The folder holds other files or was made with other settings, or a file cannot be read.
    """
    files = find_companions(dataset, synthesis.companions)
    _refuse_equal_names(dataset.pairs)
    finished: dict[str, list[Manifest]] = _read_manifest(folder, settings)
    waiting = [
        (pair, companions)
        for pair, companions in zip(dataset.pairs, files, strict=True)
        if not _is_there(finished.get(pair.name, []), folder, split)
    ]
    if not waiting:
        return 0, len(dataset)
    # The folder is known by its manifest: that comes first.
    _write_manifest(folder, settings, finished)
    try:
        for count, (pair, companions) in enumerate(track(waiting, "Making near and far focus"), start=1):
            scenes = rendered_scenes(pair, companions, synthesis, seed, patch)
            finished[pair.name] = [_write(made, folder, split, dataset.root) for made in scenes]
            if count % _SAVE_EVERY == 0:
                _write_manifest(folder, settings, finished)
    finally:
        _write_manifest(folder, settings, finished)
    return len(waiting), len(dataset) - len(waiting)


def _windows(height: int, width: int, patch: int | None) -> list[Patch]:
    if patch is None:
        return [Patch()]
    tops, lefts = (range(side % patch // 2, side - patch + 1, patch) for side in (height, width))
    return [Patch(top, left, patch) for top in tops for left in lefts]


def _flat(name: str) -> str:
    return name.replace("/", "_")


def _refuse_equal_names(pairs: list[Pair]) -> None:
    names: dict[str, str] = {}
    for pair in pairs:
        if (other := names.setdefault(_flat(pair.name).lower(), pair.name)) != pair.name:
            raise FusionLabError(f"The pairs '{other}' and '{pair.name}' would be written to one file: rename one.")


def _write(made: RenderedScene, folder: Path, split: str, root: Path) -> Manifest:
    """Write the files of a scene, and tell what the manifest says about them."""
    visible, infrared = made.pictures["source_a"], made.pictures["source_b"]
    levels = np.atleast_3d(visible.pixels)
    pictures = {
        "visible": Picture(np.repeat(levels, 3 // levels.shape[-1], axis=-1)),
        "infrared": infrared,
        "visible_focus_near": _quantise(made.source_b, visible),
        "visible_focus_far": _quantise(made.source_a, visible),
    }
    checksums = {}
    for role, picture in pictures.items():
        path = _path(folder, role, split, made.name)
        write_picture(picture, path)
        checksums[role] = sha256(path)
    place = {"top": made.window.top, "left": made.window.left} if made.window.size else {}
    return {
        "name": made.name,
        "visible": _below(made.scenes.file_a[0], root),
        "infrared": _below(made.scenes.file_b[0], root),
        **place,
        "radius": round(float(made.scenes.recipe["radius"]), 4),
        "sha256": checksums,
    }


def _below(file: str, root: Path) -> str:
    path = Path(file)
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def _quantise(image: Tensor, like: Picture) -> Picture:
    """Round ``(1, 3, H, W)`` in [0, 1] to the levels of a picture."""
    levels = (image[0].permute(1, 2, 0).numpy().astype(np.float64) * like.levels).round()
    return Picture(levels.astype(like.pixels.dtype))


def _path(folder: Path, role: str, split: str, name: str) -> Path:
    return folder / role / split / f"{name}.png"


def _is_there(entries: list[Manifest], folder: Path, split: str) -> bool:
    paths = [_path(folder, role, split, entry["name"]) for entry in entries for role in ROLES]
    return bool(paths) and all(path.is_file() for path in paths)


def _read_manifest(folder: Path, settings: Manifest) -> dict[str, list[Manifest]]:
    """Return what is finished, and make sure that the folder is ours and was made with the same settings."""
    path = make_folder(folder) / _MANIFEST
    if not path.is_file():
        if foreign := next((entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")), None):
            raise FusionLabError(
                f"The folder {folder} holds something else ({foreign.name}): name an empty or new one."
            )
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        old, pairs = dict(manifest["settings"]), dict(manifest["pairs"])
    except (OSError, ValueError, KeyError, TypeError):
        raise FusionLabError(f"The file {path} is no manifest of `make-focus`: name another folder.") from None
    if not pairs:
        return {}
    if differing := [key for key in {**old, **settings} if old.get(key) != settings.get(key)]:
        key = differing[0]
        raise FusionLabError(
            f"The folder {folder} was made with other settings ({key}: {json.dumps(old.get(key))}, now "
            f"{json.dumps(settings.get(key))}): repeat them, or name another folder."
        )
    return pairs


def _write_manifest(folder: Path, settings: Manifest, pairs: dict[str, list[Manifest]]) -> None:
    ordered = {name: pairs[name] for name in sorted(pairs)}
    write_text(folder / _MANIFEST, json.dumps({"settings": settings, "pairs": ordered}, indent=1) + "\n")
