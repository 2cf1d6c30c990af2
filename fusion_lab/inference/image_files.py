"""Fusing image files: two of them, or all pairs of two folders or patterns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.progress import track

from fusion_lab.data.images import WRITABLE_SUFFIXES, Picture, check_image_suffix, write_picture
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.pairs import Pair, PairDataset, read_source
from fusion_lab.data.rasters import TIFF_SUFFIXES, Raster, check_raster_suffix, holds_bands, read_raster, write_raster
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.inference.fused_record import FusedRecord
from fusion_lab.inference.fuser import Fuser
from fusion_lab.registration import Alignment, align_pictures
from fusion_lab.registration.alignment import Model

_PATTERN = "{name}"


@dataclass(frozen=True)
class FusedFiles:
    """What came of fusing files.

    Attributes:
        written: The results that were written now, in order.
        kept: Those that had been written before, of the same files in the same way.
        failed: What is wrong with the pairs that could not be fused, a sentence by the result that they lack.
        alignments: How the pairs were found to lie that were aligned before they were fused, by the result; those that
            cannot be trusted changed nothing.
    """

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)
    alignments: dict[Path, Alignment] = field(default_factory=dict)

    def told(self, verb: str, noun: str, output: Path) -> str:
        """Say in a sentence how many there are, such as "Fused 3 pairs into OUT; 2 done before."."""
        if self.kept and not self.written:
            return f"All {len(self.kept)} {noun}s in {output} were done before: --overwrite makes them anew."
        number = len(self.written)
        place = self.written[0] if number == 1 and not (self.kept or self.failed) else output
        before = f"; {len(self.kept)} done before" if self.kept else ""
        return f"{verb} {number} {noun}{'' if number == 1 else 's'} into {place}{before}."


@dataclass(frozen=True)
class _Job:
    """Which files to fuse, as pictures or band by band, and where to write the result."""

    pair: Pair
    target: Path
    by_band: bool
    align: Model | None = None

    def check(self, sources: set[Path]) -> None:
        check_image_suffix(self.target)
        if self.by_band:
            check_raster_suffix(self.target)
            if self.align:
                raise FusionLabError(
                    f"{self.pair.a} and {self.pair.b} are fused band by band, which cannot be aligned: leave it out."
                )
            if self.pair.range_a != FULL or self.pair.range_b != FULL:
                raise FusionLabError(
                    f"{self.pair.a} and {self.pair.b} are fused band by band, where an input range has no meaning: "
                    "give the level of white instead."
                )
        if self.target.resolve() in sources:
            raise FusionLabError(f"The result {self.target} would replace a source: choose another output.")

    def fuse(self, fuser: Fuser, alignments: dict[Path, Alignment]) -> Picture | Raster:
        if self.by_band:
            rasters = read_raster(self.pair.a), read_raster(self.pair.b)
            with self._named():
                return fuser.fuse_bands(*rasters)
        pictures = self._pictures() if self.align is None else self._aligned(self.align, alignments)
        with self._named():
            return fuser(*pictures)

    def write(self, result: Picture | Raster) -> None:
        if isinstance(result, Raster):
            write_raster(result, self.target)
        else:
            write_picture(result, self.target)

    def _pictures(self) -> tuple[Picture, Picture]:
        """Read both sources; writers of TIFF files often declare four bands as colours with alpha."""
        try:
            return self.pair.read()
        except FusionLabError as error:
            if {self.pair.a.suffix.lower(), self.pair.b.suffix.lower()} <= TIFF_SUFFIXES:
                raise FusionLabError(f"{error} If these are spectral bands, fuse them with --bands.") from None
            raise

    def _aligned(self, model: Model, alignments: dict[Path, Alignment]) -> tuple[Picture, Picture]:
        """Read both sources and bring the second onto the grid of the first, where that can be trusted."""
        a, b = read_source(self.pair.a, self.pair.range_a), read_source(self.pair.b, self.pair.range_b)
        with self._named():
            moved, found = align_pictures(a, b, model)
            if moved.size != a.size:
                raise FusionLabError(f"they differ in size and cannot be aligned: {', '.join(found.doubts)}.")
        alignments[self.target] = found
        return a, moved

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Name the files in errors."""
        try:
            yield
        except FusionLabError as error:
            names = " and ".join(dict.fromkeys([str(self.pair.a), str(self.pair.b)]))
            raise FusionLabError(f"{names} cannot be fused: {error}") from None


def fuse_files(
    a: Path,
    b: Path,
    out: Path,
    fuser: Fuser,
    suffix: str | None = None,
    bands: bool = False,
    progress: bool = False,
    *,
    range_a: str = "full",
    range_b: str = "full",
    range_over: Literal["image", "dataset"] = "image",
    unpaired: Literal["raise", "leave_out"] = "raise",
    overwrite: bool = False,
    align: Model | None = None,
) -> FusedFiles:
    """Fuse two image files, or all pairs of two folders or of two patterns, as `PairDataset` finds them.

    A pair is fused band by band where a file of it is a TIFF of several bands that are no colours (`holds_bands`).
    The same image or folder twice enhances images. Of several pairs, those that cannot be read or fused are left out
    and told, and those that were fused before in the same way from files that have not changed are kept.

    Args:
        a: The first source, an image, a folder, or a pattern with ``{name}``.
        b: The second source, of the same kind.
        out: For images, the file of the result, or a folder that exists; otherwise a folder, made if need be. In a
            folder, a result has the name of its first source; of patterns, the name of the pair. Results that exist
            are replaced.
        fuser: What fuses.
        suffix: The format of results in a folder, such as ``.png``, with or without the dot; unless given, ``.png``
            for pictures and ``.tif`` for bands.
        bands: Fuse all pairs band by band, whatever the files say of their colours.
        progress: Show a bar on stderr.
        range_a: Which values of the first sources are black and white (`InputRange`).
        range_b: The same of the second sources.
        range_over: Whether ``minmax`` and percentiles are those of each ``image`` or of all, the ``dataset``.
        unpaired: What is done about images without a partner: ``raise``, or ``leave_out``.
        overwrite: Fuse anew what is done.
        align: Bring each second source onto the grid of the first before, by a warp of this model (`find_alignment`),
            where that can be trusted. Sources of other sizes have to be aligned.

    Raises:
        FusionLabError: An input is missing, names do not pair, a result cannot be written or would replace a source; or
            the only pair cannot be read or fused. Results of earlier pairs stay.
    """
    several = _are_several(a, b)
    pairs = _pairs(a, b, out, several, (range_a, range_b, range_over), unpaired)
    jobs = list(_jobs(pairs, a, out, suffix, bands, several, align))
    sources = {path.resolve() for job in jobs for path in (job.pair.a, job.pair.b)}
    for job in jobs:
        job.check(sources)
    if fuser.white is not None and not any(job.by_band for job in jobs):
        raise FusionLabError(
            f"A level of white ({fuser.white:g}) is only for images that are fused band by band, and here are none: "
            "leave it out, or ask for bands."
        )
    make_folder(out if several else jobs[0].target.parent)
    if not several:
        done = FusedFiles([jobs[0].target])
        jobs[0].write(jobs[0].fuse(fuser, done.alignments))
        return done
    options = {"bands": bands} | ({"align": align} if align else {})
    return _fuse_all(jobs, fuser, FusedRecord(out, fuser, options), overwrite, progress)


def _fuse_all(jobs: list[_Job], fuser: Fuser, record: FusedRecord, overwrite: bool, progress: bool) -> FusedFiles:
    done = FusedFiles()
    try:
        for job in track(jobs, "Fusing", console=Console(stderr=True), disable=not progress):
            if not overwrite and record.is_done(job.pair, job.target):
                done.kept.append(job.target)
                continue
            try:
                result = job.fuse(fuser, done.alignments)
            except FusionLabError as error:
                done.failed[job.target] = str(error)
                continue
            job.write(result)
            record.note(job.pair, job.target)
            done.written.append(job.target)
    finally:
        record.save()
    return done


def _jobs(
    pairs: list[Pair], a: Path, out: Path, suffix: str | None, bands: bool, several: bool, align: Model | None
) -> Iterator[_Job]:
    """Say what to fuse, and where to write it."""
    by_pattern = several and _PATTERN in str(a)
    for pair in pairs:
        by_band = bands or holds_bands(pair.a) or holds_bands(pair.b)
        ending = f".{suffix.lstrip('.')}" if suffix else ".tif" if by_band else ".png"
        stem = pair.name if by_pattern else pair.a.stem
        yield _Job(pair, out / f"{stem}{ending}" if several or out.is_dir() else out, by_band, align)


def _are_several(a: Path, b: Path) -> bool:
    """Tell folders and patterns from two images."""
    patterns = [_PATTERN in str(path) for path in (a, b)]
    for path, pattern in zip((a, b), patterns, strict=True):
        if not pattern and not path.exists():
            raise FusionLabError(f"The source {path} does not exist: check the path.")
    folders = [pattern or path.is_dir() for path, pattern in zip((a, b), patterns, strict=True)]
    if folders[0] != folders[1]:
        folder, file = (a, b) if folders[0] else (b, a)
        raise FusionLabError(f"{folder} is a folder and {file} is a file: give two images or two folders.")
    return folders[0]


def _pairs(
    a: Path,
    b: Path,
    out: Path,
    several: bool,
    ranges: tuple[str, str, Literal["image", "dataset"]],
    unpaired: Literal["raise", "leave_out"],
) -> list[Pair]:
    range_a, range_b, range_over = ranges
    if not several:
        # An only pair is a data set of its own.
        return [Pair(a.stem, a, b, None, InputRange.of(range_a), InputRange.of(range_b))]
    if out.exists() and not out.is_dir():
        raise FusionLabError(f"The output {out} is a file, but the results of folders need a folder: name another one.")
    if not out.exists() and out.suffix.lower() in WRITABLE_SUFFIXES:
        raise FusionLabError(f"The output {out} is named like an image, but the results of folders need a folder.")
    dataset = PairDataset(
        ".", str(a), str(b), range_a=range_a, range_b=range_b, range_over=range_over, unpaired=unpaired
    )
    return dataset.pairs
