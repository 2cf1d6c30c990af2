"""Recognising public data sets by how their files lie on disk."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fusion_lab.data.pairs import find_images
from fusion_lab.errors import FusionLabError
from fusion_lab.public.data_sets import SAMPLES, Part, PublicDataSet, data_sets, find_data_set


@dataclass(frozen=True)
class Place:
    """Where pairs are: what `PairDataset` takes, and the split that they are of."""

    root: Path
    a: str
    b: str
    split: str

    @property
    def is_there(self) -> bool:
        """Whether there is any folder of it."""
        sides = [self.root if "{name}" in side else self.root / side for side in (self.a, self.b)]
        return any(side.is_dir() for side in sides)


@dataclass(frozen=True)
class FoundSet:
    """A data set on disk, or a part of one that has a number of pairs of its own.

    Attributes:
        name: Its name in `data_sets`; None for pairs that belong to none.
        folder: Its folder, relative to the folder that was looked through.
        task: Its task; None where that is not known.
        stated: How many pairs it should have; None where nobody says.
        places: Where its pairs are, all splits.
    """

    name: str | None
    folder: str
    task: str | None
    stated: int | None
    places: tuple[Place, ...]


def recognise(folder: Path, name: str | None = None) -> tuple[Path, list[FoundSet]]:
    """Find the public data sets in a folder.

    Args:
        folder: The folder of all data sets, the folder of one in its official layout, or either in the common layout
            ``SET/SPLIT/a|b``.
        name: Which data set it is; None to guess.

    Returns:
        The folder that paths are told from, which is the one above where ``folder`` is that of a set by its name, and
        what was found.

    Raises:
        FusionLabError: There is no such folder or data set, nothing is recognised, or it could be several.
    """
    if not folder.is_dir():
        raise FusionLabError(f"The folder {folder} does not exist: check the path.")
    folder = folder.resolve()
    wanted = [find_data_set(name)] if name else list(data_sets().values())
    for base in (folder, folder.parent):
        own = None if base == folder else folder.name
        found = [group for data_set in wanted for group in _official(data_set, base, own)]
        if base == folder:
            known = {place.root for group in found for place in group.places}
            found += [group for group in _common(folder, name) if group.places[0].root not in known]
        if found:
            return base, found
    candidates = [found for data_set in wanted if (found := list(_renamed(data_set, folder)))]
    if not candidates:
        what = f"the layout of {name}" if name else "the layout of a public data set"
        raise FusionLabError(
            f"Nothing in {folder} has {what} or the form SET/SPLIT/a and b: `fusion-lab data list` names the sets, and "
            "`fusion-lab data get NAME` says how they lie on disk."
        )
    if len(candidates) > 1:
        names = ", ".join(str(found[0].name) for found in candidates)
        raise FusionLabError(f"The folder {folder} could be any of {names}: say which with --as.")
    return folder, candidates[0]


def _official(data_set: PublicDataSet, base: Path, own: str | None) -> Iterator[FoundSet]:
    """Find a set under its own folder names; where ``own`` is given, only in that folder."""
    parts = [part for part in data_set.parts if own in (None, part.folder.split("/")[0])]
    yield from _parts(data_set, parts, [base / part.folder for part in parts], base)


def _renamed(data_set: PublicDataSet, folder: Path) -> Iterator[FoundSet]:
    """Find a set whose folder has another name."""
    roots = [folder.joinpath(*part.folder.split("/")[1:]) for part in data_set.parts]
    # A folder of any content is the root of a pattern: here images are looked for.
    if any(_has_pairs(root, part) for root, part in zip(roots, data_set.parts, strict=True)):
        yield from _parts(data_set, data_set.parts, roots, folder)


def _parts(data_set: PublicDataSet, parts: Iterable[Part], roots: Iterable[Path], base: Path) -> Iterator[FoundSet]:
    """Return all parts of a set if any is there."""
    found = [
        FoundSet(
            data_set.name,
            _path(root, base),
            part.task,
            part.pairs,
            (Place(root, part.a, part.b, part.split),),
        )
        for part, root in zip(parts, roots, strict=True)
    ]
    if any(place.is_there for group in found for place in group.places):
        yield from found


def _common(folder: Path, name: str | None) -> Iterator[FoundSet]:
    """Find sets in the layout ``SET/SPLIT/a|b``, from one of its folders on."""
    splits = [path.parent for depth in ("a", "*/a", "*/*/a") for path in folder.glob(depth)]
    splits = sorted(path for path in splits if (path / "b").is_dir())
    for home in dict.fromkeys(split.parent for split in splits):
        known, stated = SAMPLES.get(home.name, (home.name, None))
        # Who names the set knows better, where there is but one.
        if name and home in (folder, folder.parent):
            known = name
        data_set = data_sets().get(known)
        if name and known != name:
            continue
        if data_set and home.name not in SAMPLES:
            stated = data_set.pairs
        yield FoundSet(
            data_set.name if data_set else None,
            _path(home, folder),
            data_set.tasks[0] if data_set and data_set.tasks else None,
            stated,
            tuple(Place(split, "a", "b", split.name) for split in splits if split.parent == home),
        )


def _has_pairs(root: Path, part: Part) -> bool:
    try:
        return bool(find_images(root, part.a).keys() & find_images(root, part.b).keys())
    except FusionLabError:
        return False


def _path(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else path.name
