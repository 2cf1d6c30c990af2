"""Looking through data sets on disk: how many pairs there are, and whether every one can be used."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from fusion_lab.data.pairs import Pair, find_images
from fusion_lab.data.recognition import FoundSet, Place
from fusion_lab.errors import FusionLabError, first_few
from fusion_lab.files import sha256
from fusion_lab.public.manifest import Sums, differences, read_manifest, write_manifest

T = TypeVar("T")

_THREADS = 8


@dataclass
class Checked:
    """What was found in one data set.

    Attributes:
        found: The data set.
        pairs: How many pairs there are, by split.
        problems: What is wrong, one sentence each.
    """

    found: FoundSet
    pairs: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        """Whether it is whole, in words."""
        number, stated = sum(self.pairs.values()), self.found.stated
        if not any(place.is_there for place in self.found.places):
            return "not there"
        if stated is None:
            return "no number stated"
        return "whole" if number == stated else "a part" if number < stated else "more than stated"

    @property
    def summary(self) -> dict[str, str | int | None]:
        """What a table tells of it, by the titles of its columns."""
        return {
            "data set": self.found.name or "unknown",
            "folder": self.found.folder,
            "task": self.found.task,
            "pairs": ", ".join(f"{split} {number:,}" for split, number in self.pairs.items()),
            "stated": self.found.stated,
            "state": self.state,
            "problems": len(self.problems),
        }


@dataclass(frozen=True)
class ComparedSums:
    """Checksums beside those of a manifest.

    Attributes:
        file: The manifest.
        number: How many checksums it has; None where it was not there and is written now.
        differences: What differs, a line each.
    """

    file: Path
    number: int | None = None
    differences: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.number is None:
            return f"Wrote the checksums to {self.file}."
        how = f"{len(self.differences)} differ" if self.differences else "all are the same"
        return f"Compared {self.number} checksums with {self.file}: {how}."


def check(sets: Sequence[FoundSet], base: Path, progress: bool = False) -> tuple[list[Checked], Sums]:
    """Read every image of some data sets, with several threads.

    Args:
        sets: What to look through.
        base: The folder that the paths of checksums are told from.
        progress: Show a bar on stderr.

    Returns:
        What was found in each set, and the SHA-256 of every image by its path below ``base``.
    """
    results = [Checked(found) for found in sets]
    listed = [(result, *_list(result, place)) for result in results for place in result.found.places]
    pairs = [(result, pair) for result, found, _ in listed for pair in found]
    files = {side for _, pair in pairs for side in (pair.a, pair.b)}.union(*(alone for _, _, alone in listed))
    console = Console(stderr=True)

    def shown(told: Iterator[T], words: str, number: int) -> Iterable[T]:
        return track(told, words, number, console=console, disable=not progress)

    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
        told = threads.map(_problem, [pair for _, pair in pairs])
        for (result, _), problem in zip(pairs, shown(told, "Reading pairs", len(pairs)), strict=True):
            if problem:
                result.problems.append(problem)
        added = shown(threads.map(_sum, sorted(files)), "Adding up files", len(files))
        sums = {path.relative_to(base).as_posix(): value for path, value in added if value}
    return results, sums


def _list(result: Checked, place: Place) -> tuple[list[Pair], list[Path]]:
    """Return the pairs of a place and the images without a partner, and note what is wrong with them."""
    if not place.is_there:
        return [], []
    sides: list[dict[str, Path]] = []
    for pattern in (place.a, place.b):
        try:
            sides.append(find_images(place.root, pattern))
        except FusionLabError as error:
            result.problems.append(str(error))
            return [], []
    a, b = sides
    paired = sorted(a.keys() & b.keys())
    alone = sorted(side[key] for side in sides for key in side.keys() - set(paired))
    if alone:
        names = ", ".join(first_few([str(path) for path in alone]))
        result.problems.append(f"{len(alone)} images have no partner of the same name: {names}.")
    result.pairs[place.split] = result.pairs.get(place.split, 0) + len(paired)
    return [Pair(key, a[key], b[key]) for key in paired], alone


def _problem(pair: Pair) -> str | None:
    try:
        pair.read()
    except FusionLabError as error:
        return str(error)
    return None


def _sum(path: Path) -> tuple[Path, str | None]:
    try:
        return path, sha256(path)
    except FusionLabError:
        # The reading of the pair has told it.
        return path, None


def compare_sums(file: Path, sums: Sums, base: Path, only: Sequence[FoundSet] = ()) -> ComparedSums:
    """Compare checksums with a manifest, or write it where there is none.

    Args:
        file: The manifest.
        sums: The checksums of all images that were looked at, as of `check`.
        base: The folder that paths are told from.
        only: The data sets whose files alone are compared; all that the manifest has unless given.
    """
    if not file.exists():
        write_manifest(file, sums, f"{len(sums)} images")
        return ComparedSums(file)
    before = read_manifest(file)
    if only:
        folders = tuple("" if found.folder == "." else f"{found.folder}/" for found in only)
        before = {path: value for path, value in before.items() if path.startswith(folders)}
    others = sums_of(before.keys() - sums.keys(), base)
    return ComparedSums(file, len(before), differences(before, sums | others))


def sums_of(paths: Iterable[str], base: Path) -> Sums:
    """Return the checksums of those of some files below a folder that are there."""
    return {path: sha256(base / path) for path in paths if (base / path).is_file()}
