"""Pairs of source images: found in folders by their names, read, cut and handed out as tensors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fusion_lab.data.images import IMAGE_SUFFIXES, Picture, read_picture
from fusion_lab.errors import FusionLabError
from fusion_lab.types import Sample

if TYPE_CHECKING:
    # Cropping loads more than reading needs.
    from fusion_lab.data.augmentation import Transform

_SHOWN = 5


@dataclass(frozen=True)
class Pair:
    """The files of one pair."""

    name: str
    a: Path
    b: Path
    target: Path | None = None

    def read(self) -> tuple[Picture, Picture]:
        """Read both sources.

        Raises:
            FusionLabError: A file cannot be read, or the sizes differ.
        """
        a, b = read_picture(self.a), read_picture(self.b)
        if a.size != b.size:
            raise FusionLabError(
                f"The sources {self.a} ({a.size[1]}x{a.size[0]}) and {self.b} ({b.size[1]}x{b.size[0]}) "
                "differ in size: register them to the same size first."
            )
        return a, b


class PairDataset(Dataset[Sample]):
    """Pairs of images from two folders, or from any layout that file names tell.

    ``a`` and ``b`` are paths below ``root``. A plain folder stands for all of its images. ``{name}`` in a path stands
    for any text, folders included, that must be equal in both, in any case of letters: ``{name}_B`` and ``{name}_A``
    pair ``scene/01_B.png`` with ``Scene/01_A.png``. The suffix may be any image suffix, also a different one in a
    pair.

    Nothing is looked for before the first use.

    Args:
        root: The folder that ``a``, ``b`` and ``target`` are below.
        a: Where the first sources are.
        b: Where the second sources are.
        target: Where the ideal fused images are, if there are any.
        limit: Use only the first so many pairs, in order of their names.
    """

    def __init__(
        self,
        root: Path | str = ".",
        a: str = "a",
        b: str = "b",
        target: str | None = None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 1:
            raise FusionLabError(f"`limit` should be at least 1. Found `limit = {limit}`.")
        for key, pattern in {"a": a, "b": b, "target": target}.items():
            if pattern is not None and not pattern.strip():
                raise FusionLabError(f"`{key}` is empty: name a folder below `root`, or `.` for `root` itself.")
        self.root = Path(root)
        self.a = a
        self.b = b
        self.target = target
        self.limit = limit

    def prepare(self) -> None:
        """Make the files where they are made rather than found; plain folders need nothing."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs in order of their names.

        Raises:
            FusionLabError: A folder is missing or empty, or an image has no partner.
        """
        a, b = (find_images(self.root, pattern) for pattern in (self.a, self.b))
        unpaired = sorted(str(path) for key, path in [*a.items(), *b.items()] if key not in a or key not in b)
        if unpaired:
            more = f" and {len(unpaired) - _SHOWN} more" if len(unpaired) > _SHOWN else ""
            raise FusionLabError(
                f"{len(unpaired)} images below {self.root} have no partner of the same name "
                f"({', '.join(unpaired[:_SHOWN])}{more}): rename or remove them."
            )
        targets = find_images(self.root, self.target) if self.target else {}
        if missing := sorted(set(a) - set(targets)) if self.target else []:
            raise FusionLabError(
                f"{len(missing)} pairs below {self.root} have no target of the same name "
                f"({', '.join(missing[:_SHOWN])}): add the files or leave `target` out."
            )
        pairs = [Pair(_spelt(key, a[key]), a[key], b[key], targets.get(key)) for key in sorted(a)]
        return pairs[: self.limit]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index, None, 0)

    def sample(self, index: int, augmentation: "Transform | None", seed: int) -> Sample:
        """Read one pair as luminance ``(1, H, W)`` in [0, 1], after an augmentation drawn from ``seed``."""
        pair = self.pairs[index]
        a, b = pair.read()
        images = {"source_a": _to_float(a), "source_b": _to_float(b)}
        if pair.target:
            images["target"] = _to_float(read_picture(pair.target))
            if images["target"].shape != images["source_a"].shape:
                raise FusionLabError(
                    f"The target {pair.target} and its source {pair.a} differ in size: "
                    "register them to the same size first."
                )
        if augmentation:
            images = augmentation(images, seed, pair.name)
        tensors = {key: torch.from_numpy(np.ascontiguousarray(image))[None] for key, image in images.items()}
        return Sample(name=pair.name, file_a=str(pair.a), file_b=str(pair.b), **tensors)  # type: ignore[typeddict-item]


def load_pairs(a: Path | str, b: Path | str) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Read all pairs of two folders that are paired by file name.

    Args:
        a: Folder of the first sources, or a pattern with ``{name}`` as in `PairDataset`.
        b: Folder or pattern of the second sources.

    Yields:
        The name and the luminance of both sources, ``(1, 1, H, W)`` in [0, 1].

    Raises:
        FusionLabError: A folder is missing or empty, names do not pair, sizes differ, or a file cannot be read.
    """
    dataset = PairDataset(".", str(a), str(b))
    for index in range(len(dataset)):
        sample = dataset[index]
        yield dataset.pairs[index].name, sample["source_a"][None], sample["source_b"][None]


def _to_float(picture: Picture) -> np.ndarray:
    return picture.luminance().astype(np.float32) / np.float32(picture.levels)


def _spelt(key: str, path: Path) -> str:
    """Give a name in lower case the letters that it has in a path."""
    text = path.with_suffix("").as_posix()
    start = text.lower().rfind(key)
    return text[start : start + len(key)]


def find_images(root: Path, pattern: str) -> dict[str, Path]:
    """Find the images that a path or pattern names, by the text that ``{name}`` stands for, in lower case.

    Raises:
        FusionLabError: The folder is missing, cannot be looked through or has no such image, or two have the same name.
    """
    if "{name}" not in pattern:
        pattern = f"{pattern.rstrip('/')}/{{name}}"
        deep = False
    else:
        deep = True
    folder = root / Path(pattern.split("{name}")[0] + "x").parent
    before, after = ((root / pattern).as_posix()).split("{name}", 1)
    shape = re.compile(re.escape(before) + "(.+)" + re.escape(after), re.IGNORECASE)

    found: dict[str, Path] = {}
    for path in _files(folder, deep):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() not in IMAGE_SUFFIXES or hidden:
            continue
        match = shape.fullmatch(path.with_suffix("").as_posix())
        if match is None:
            continue
        key = match[1].lower()
        if key in found:
            raise FusionLabError(
                f"The images {found[key]} and {path} have the same name: keep one of them, pairs are found by name."
            )
        found[key] = path
    if not found:
        raise FusionLabError(f"No images of the form {root / pattern} were found: check the folder and the names.")
    return found


def _files(folder: Path, deep: bool) -> list[Path]:
    """List what is in a folder, or also in those below it."""
    try:
        if not folder.is_dir():
            raise FusionLabError(
                f"The folder {folder} does not exist: check `root` and the names of the folders below it."
            )
        return sorted(folder.rglob("*") if deep else folder.iterdir())
    except OSError as error:
        raise FusionLabError(
            f"The folder {folder} cannot be looked through ({error.strerror}): check its name and rights."
        ) from None
