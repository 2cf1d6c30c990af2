"""Aligning image files: two of them, or all pairs of two folders or patterns."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from fusion_lab.data.images import check_image_suffix, write_picture
from fusion_lab.data.pairs import Pair, PairDataset, read_source
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, write_rows
from fusion_lab.registration.alignment import Alignment, Model
from fusion_lab.registration.pictures import align_pictures

FOUND = "alignment.csv"
"""The file, in the folder of the results, of what was found."""


@dataclass(frozen=True)
class AlignedFiles:
    """What came of aligning files.

    Attributes:
        written: The second images on the grids of the first ones.
        found: How each pair lies, by its name, also where that cannot be trusted.
        failed: What is wrong with the pairs of which nothing was written, a sentence by their name.
    """

    written: list[Path] = field(default_factory=list)
    found: dict[str, Alignment] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def align_files(
    a: Path,
    b: Path,
    out: Path,
    model: Model = "homography",
    unpaired: Literal["raise", "leave_out"] = "raise",
    progress: bool = False,
) -> AlignedFiles:
    """Write the images ``b`` on the grids of the images ``a``, where they can be aligned, and what was found.

    Args:
        a: An image, a folder, or a pattern with ``{name}``.
        b: What moves, of the same kind.
        out: The folder of the results, which have the names of ``b`` and the suffix ``.png``.
        model: What warps are looked for (`find_alignment`).
        unpaired: What is done about images without a partner.
        progress: Show a bar on stderr.

    Raises:
        FusionLabError: A folder is missing or empty, or names do not pair.
    """
    pairs = _pairs(a, b, unpaired)
    targets = {pair.name: out / f"{pair.b.stem}.png" for pair in pairs}
    if len(set(targets.values())) < len(pairs):
        # Patterns may put the names into folders.
        targets = {pair.name: out / f"{pair.name}.png" for pair in pairs}
    sources = {path.resolve() for pair in pairs for path in (pair.a, pair.b)}
    for target in targets.values():
        check_image_suffix(target)
        if target.resolve() in sources:
            raise FusionLabError(f"The result {target} would replace a source: choose another folder.")
    make_folder(out)
    done = AlignedFiles()
    for pair in track(pairs, "Aligning", console=Console(stderr=True), disable=not progress):
        try:
            moved, found = align_pictures(read_source(pair.a), read_source(pair.b), model)
        except FusionLabError as error:
            done.failed[pair.name] = str(error)
            continue
        done.found[pair.name] = found
        if not found.trusted:
            done.failed[pair.name] = f"{pair.b} cannot be aligned with {pair.a}: {', '.join(found.doubts)}."
            continue
        target = targets[pair.name]
        make_folder(target.parent)
        write_picture(moved, target)
        done.written.append(target)
    _write_alignments(out / FOUND, done.found)
    return done


def _write_alignments(path: Path, found: dict[str, Alignment]) -> None:
    """Write one row for each pair: whether it is trusted, why, and the matrix row by row."""
    entries = [f"m{row}{column}" for row in range(3) for column in range(3)]
    rows = (
        [
            name,
            "yes" if one.trusted else "no",
            one.similarity,
            one.disagreement,
            one.spread,
            *one.matrix.ravel().tolist(),
        ]
        for name, one in found.items()
    )
    write_rows(path, ["name", "trusted", "similarity", "disagreement", "spread", *entries], rows)


def _pairs(a: Path, b: Path, unpaired: Literal["raise", "leave_out"]) -> list[Pair]:
    if a.is_file() and b.is_file():
        return [Pair(a.stem, a, b)]
    return PairDataset(".", str(a), str(b), unpaired=unpaired).pairs
