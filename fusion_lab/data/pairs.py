"""Pairs of source images: found in folders by their names, read, cut and handed out as tensors."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from unicodedata import normalize

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fusion_lab.data.images import CONVERTIBLE, IMAGE_SUFFIXES, Picture, range_of_files, read_picture
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.picture_cache import NO_CACHE, PictureCache
from fusion_lab.errors import FusionLabError, FusionLabWarning, first_few
from fusion_lab.files import walk
from fusion_lab.types import Sample

if TYPE_CHECKING:
    # Cropping loads more than reading needs.
    from fusion_lab.data.augmentation import Transform

# A 16-bit image that uses less of its range than this is hardly meant so: 12 bits use a sixteenth.
_NARROW = 0.1
_Over = Literal["image", "dataset"]
_FOLDERS_TOLD: set[Path] = set()


@dataclass(frozen=True)
class Pair:
    """The files of one pair, and which of their values are black and white."""

    name: str
    a: Path
    b: Path
    target: Path | None = None
    range_a: InputRange = FULL
    range_b: InputRange = FULL

    @property
    def key(self) -> str:
        """What the images of the pair are found by, as of `find_images`."""
        return self.name.lower()

    def read(self, cache: PictureCache = NO_CACHE) -> tuple[Picture, Picture]:
        """Read both sources, or take them from where they are kept.

        Raises:
            FusionLabError: A file cannot be read, or the sizes differ.
        """
        a = cache.read(read_source, self.a, self.range_a)
        same = (self.a, self.range_a) == (self.b, self.range_b)
        b = a if same else cache.read(read_source, self.b, self.range_b)
        if a.size != b.size:
            raise FusionLabError(
                f"The sources {self.a} ({a.size[1]}x{a.size[0]}) and {self.b} ({b.size[1]}x{b.size[0]}) "
                "differ in size: register them to the same size first."
            )
        return a, b


def read_source(path: Path, input_range: InputRange | str = FULL) -> Picture:
    """Read a source as `read_picture` does, and warn once a folder where it uses little of the range of 16 bits."""
    picture = read_picture(path, input_range)
    if InputRange.of(input_range).kind == "full" and path.parent not in _FOLDERS_TOLD and (text := narrow(picture)):
        _FOLDERS_TOLD.add(path.parent)
        warnings.warn(f"The image {path} {text}", FusionLabWarning, stacklevel=2)
    return picture


def narrow(picture: Picture) -> str | None:
    """Say what is wrong where a picture uses little of the range of 16 bits; None where nothing is."""
    if picture.pixels.dtype != np.uint16:
        return None
    low, high = int(picture.pixels.min()), int(picture.pixels.max())
    share = (high - low) / picture.levels
    if not 0 < share < _NARROW:
        return None
    return (
        f"has 16 bits, but its values reach from {low} to {high} only, {share:.1%} of their range: give the input "
        "range of this source, such as minmax or 1%..99%."
    )


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
        range_a: Which values of the first sources are black and white (`InputRange`): ``full``, ``minmax``,
            percentiles such as ``1%..99%``, or levels such as ``7000..9500``.
        range_b: The same of the second sources.
        range_over: Whether ``minmax`` and percentiles are those of each ``image`` or of all pairs, the ``dataset``.
        unpaired: What is done about images without a partner: ``raise``, or ``leave_out``.
    """

    def __init__(
        self,
        root: Path | str = ".",
        a: str = "a",
        b: str = "b",
        target: str | None = None,
        limit: int | None = None,
        range_a: str = "full",
        range_b: str = "full",
        range_over: _Over = "image",
        unpaired: Literal["raise", "leave_out"] = "raise",
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
        self.range_a = InputRange.of(range_a)
        self.range_b = InputRange.of(range_b)
        for key, word, known in (
            ("range_over", range_over, ("image", "dataset")), ("unpaired", unpaired, ("raise", "leave_out"))
        ):  # fmt: skip
            if word not in known:
                raise FusionLabError(f"`{key}` should be {' or '.join(known)}. Found `{key} = {word}`.")
        self.range_over = range_over
        self.unpaired = unpaired
        self.cache = NO_CACHE

    def prepare(self) -> None:
        """Make the files where they are made rather than found; plain folders need nothing."""

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs in order of their names.

        Raises:
            FusionLabError: A folder is missing or empty, or an image has no partner.
        """
        a, b = (find_images(self.root, pattern) for pattern in (self.a, self.b))
        if unpaired := sorted(str(path) for key, path in [*a.items(), *b.items()] if key not in a or key not in b):
            self._tell_unpaired(unpaired, some_pair=bool(a.keys() & b.keys()))
            a = {key: path for key, path in a.items() if key in b}
        targets = find_images(self.root, self.target) if self.target else {}
        if missing := sorted(set(a) - set(targets)) if self.target else []:
            raise FusionLabError(
                f"{len(missing)} pairs below {self.root} have no target of the same name "
                f"({', '.join(first_few(missing))}): add the files or leave `target` out."
            )
        keys = sorted(a)[: self.limit]
        range_a, range_b = (
            self._range(self.range_a, [a[key] for key in keys]),
            self._range(self.range_b, [b[key] for key in keys]),
        )
        shape = _shape(self.root, self.a)
        return [Pair(_name(a[key], shape), a[key], b[key], targets.get(key), range_a, range_b) for key in keys]

    @property
    def files(self) -> set[Path]:
        """Every file that a pair is made of."""
        return {file for pair in self.pairs for file in (pair.a, pair.b, pair.target) if file is not None}

    def _tell_unpaired(self, files: list[str], some_pair: bool) -> None:
        told = f"{len(files)} images below {self.root} have no partner of the same name ({', '.join(first_few(files))})"
        if self.unpaired == "raise" or not some_pair:
            raise FusionLabError(f"{told}: rename or remove them.")
        warnings.warn(f"{told}: they are left out.", FusionLabWarning, stacklevel=3)

    def _range(self, given: InputRange, files: list[Path]) -> InputRange:
        """Return the range of each image, or the levels of all together."""
        if self.range_over == "image" or given.kind not in ("minmax", "percentiles"):
            return given
        return range_of_files(files, given)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        return self.sample(index, None, 0)

    def sample(self, index: int, augmentation: "Transform | None", seed: int) -> Sample:
        """Read one pair as luminance ``(1, H, W)`` in [0, 1], after an augmentation drawn from ``seed``."""
        pair = self.pairs[index]
        a, b = pair.read(self.cache)
        pictures = {"source_a": a, "source_b": b}
        if pair.target:
            pictures["target"] = self.cache.read(read_picture, pair.target, FULL)
            if pictures["target"].size != a.size:
                raise FusionLabError(
                    f"The target {pair.target} and its source {pair.a} differ in size: "
                    "register them to the same size first."
                )
        if augmentation:
            # Before anything is converted: a crop is a small part of a picture.
            pictures = cut(pictures, augmentation, seed, pair.name)
        tensors = {key: torch.from_numpy(_to_float(picture))[None] for key, picture in pictures.items()}
        given = {pair.range_a, pair.range_b} != {FULL}
        ranges = {"range_a": str(pair.range_a), "range_b": str(pair.range_b)} if given else {}
        return Sample(name=pair.name, file_a=str(pair.a), file_b=str(pair.b), **ranges, **tensors)  # type: ignore[typeddict-item]


def cut(pictures: dict[str, Picture], transform: "Transform", seed: int, name: str) -> dict[str, Picture]:
    """Cut, and perhaps flip and turn, all pictures of a scene alike; alpha is dropped."""
    pixels = transform({role: picture.pixels for role, picture in pictures.items()}, seed, name)
    return {role: Picture(np.ascontiguousarray(image)) for role, image in pixels.items()}


def load_pairs(
    a: Path | str, b: Path | str, range_a: str = "full", range_b: str = "full", range_over: _Over = "image"
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Read all pairs of two folders that are paired by file name.

    Args:
        a: Folder of the first sources, or a pattern with ``{name}`` as in `PairDataset`.
        b: Folder or pattern of the second sources.
        range_a: Which values of the first sources are black and white, as in `PairDataset`.
        range_b: The same of the second sources.
        range_over: Whether these are found in each ``image`` or in all, the ``dataset``.

    Yields:
        The name and the luminance of both sources, ``(1, 1, H, W)`` in [0, 1].

    Raises:
        FusionLabError: A folder is missing or empty, names do not pair, sizes differ, or a file cannot be read.
    """
    dataset = PairDataset(".", str(a), str(b), range_a=range_a, range_b=range_b, range_over=range_over)
    for index in range(len(dataset)):
        sample = dataset[index]
        yield dataset.pairs[index].name, sample["source_a"][None], sample["source_b"][None]


def _to_float(picture: Picture) -> np.ndarray:
    return picture.luminance().astype(np.float32) / np.float32(picture.levels)


def find_images(root: Path, pattern: str) -> dict[str, Path]:
    """Find the images that a path or pattern names, by the text that ``{name}`` stands for, in lower case.

    Raises:
        FusionLabError: The folder is missing, cannot be looked through or has no such image, or two have the same name.
    """
    deep = "{name}" in pattern
    pattern = _with_name(pattern)
    folder = root / Path(pattern.split("{name}")[0] + "x").parent
    shape = _shape(root, pattern)
    found: dict[str, Path] = {}
    others: set[str] = set()
    for path in _files(folder, deep):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            others.update(ending for ending in CONVERTIBLE if path.name.lower().endswith(ending))
            continue
        key = _name(path, shape).lower()
        if not key:
            continue
        if key in found:
            raise FusionLabError(
                f"The images {found[key]} and {path} have the same name: keep one of them, pairs are found by name."
            )
        found[key] = path
    if others and not found:
        ending = min(others)
        raise FusionLabError(
            f"The images below {folder} end in {ending}, which is not read: convert them to PNG or TIFF, for instance "
            f"with {CONVERTIBLE[ending]}."
        )
    if not found:
        raise FusionLabError(f"No images of the form {root / pattern} were found: check the folder and the names.")
    return found


def _with_name(pattern: str) -> str:
    if "{name}" not in pattern:
        return f"{pattern.rstrip('/')}/{{name}}"
    # An image may have any suffix, whatever the pattern says.
    return pattern[: -len(Path(pattern).suffix)] if Path(pattern).suffix.lower() in IMAGE_SUFFIXES else pattern


def _shape(root: Path, pattern: str) -> re.Pattern[str]:
    """Return what the paths of images look like without their suffix; the name is its only group."""
    before, after = normalize("NFC", (root / _with_name(pattern)).as_posix()).split("{name}", 1)
    return re.compile(re.escape(before) + "(.+)" + re.escape(after), re.IGNORECASE)


def _name(path: Path, shape: re.Pattern[str]) -> str:
    """Return the name that an image of such a shape has; of others, none."""
    # One letter may be written as several signs: a disk of a Mac does so.
    match = shape.fullmatch(normalize("NFC", path.with_suffix("").as_posix()))
    return match[1] if match else ""


def _files(folder: Path, deep: bool) -> list[Path]:
    """List the files in a folder, or also in those below it; what is hidden is passed over."""
    try:
        if not folder.is_dir():
            raise FusionLabError(
                f"The folder {folder} does not exist: check `root` and the names of the folders below it."
            )
        if deep:
            return list(walk(folder))
        return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())
    except OSError as error:
        raise FusionLabError(
            f"The folder {folder} cannot be looked through ({error.strerror}): check its name and rights."
        ) from None
