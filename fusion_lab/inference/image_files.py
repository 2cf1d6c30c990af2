"""Fusing image files: two of them, or two folders."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from fusion_lab.data.images import IMAGE_SUFFIXES, Picture, check_image_suffix, write_picture
from fusion_lab.data.pairs import Pair, PairDataset
from fusion_lab.data.rasters import TIFF_SUFFIXES, check_raster_suffix, holds_bands, read_raster, write_raster
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.inference.fuser import Fuser


@dataclass(frozen=True)
class _Job:
    """Which files to fuse, as pictures or band by band, and where to write the result."""

    pair: Pair
    target: Path
    by_band: bool

    def check(self, sources: set[Path]) -> None:
        check_image_suffix(self.target)
        if self.by_band:
            check_raster_suffix(self.target)
        if self.target.resolve() in sources:
            raise FusionLabError(f"The result {self.target} would replace a source: choose another output.")

    def run(self, fuser: Fuser) -> None:
        if self.by_band:
            rasters = read_raster(self.pair.a), read_raster(self.pair.b)
            with self._named():
                raster = fuser.fuse_bands(*rasters)
            write_raster(raster, self.target)
        else:
            pictures = self._pictures()
            with self._named():
                picture = fuser(*pictures)
            write_picture(picture, self.target)

    def _pictures(self) -> tuple[Picture, Picture]:
        """Read both sources; writers of TIFF files often declare four bands as colours with alpha."""
        try:
            return self.pair.read()
        except FusionLabError as error:
            if {self.pair.a.suffix.lower(), self.pair.b.suffix.lower()} <= TIFF_SUFFIXES:
                raise FusionLabError(f"{error} If these are spectral bands, fuse them with --bands.") from None
            raise

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
) -> list[Path]:
    """Fuse two image files, or two folders of images that are paired by name in any case of letters.

    A pair is fused band by band where a file of it is a TIFF of several bands that are no colours (`holds_bands`).
    The same image or folder twice enhances images.

    Args:
        a: The first source, an image or a folder.
        b: The second source, of the same kind.
        out: For images, the file of the result, or a folder that exists; for folders, a folder, made if need
            be. In a folder, a result has the name of its first source. Results that exist are replaced.
        fuser: What fuses.
        suffix: The format of results in a folder, such as ``.png``, with or without the dot; unless given, ``.png``
            for pictures and ``.tif`` for bands.
        bands: Fuse all pairs band by band, whatever the files say of their colours.
        progress: Show a bar on stderr.

    Returns:
        The files written, in order.

    Raises:
        FusionLabError: An input is missing or broken, names do not pair, sizes differ, or a result cannot be
            written or would replace a source. Results of earlier pairs stay.
    """
    jobs = list(_jobs(a, b, out, suffix, bands))
    sources = {path.resolve() for job in jobs for path in (job.pair.a, job.pair.b)}
    for job in jobs:
        job.check(sources)
    if fuser.white is not None and not any(job.by_band for job in jobs):
        raise FusionLabError(
            f"A level of white ({fuser.white:g}) is only for images that are fused band by band, and here are none: "
            "leave it out, or ask for bands."
        )
    make_folder(jobs[0].target.parent)
    for job in track(jobs, "Fusing", console=Console(stderr=True), disable=not progress):
        job.run(fuser)
    return [job.target for job in jobs]


def _jobs(a: Path, b: Path, out: Path, suffix: str | None, bands: bool) -> Iterator[_Job]:
    """Say what to fuse, and where to write it."""
    pairs = _pairs(a, b, out)
    into_folder = a.is_dir() or out.is_dir()
    for pair in pairs:
        by_band = bands or holds_bands(pair.a) or holds_bands(pair.b)
        ending = f".{suffix.lstrip('.')}" if suffix else ".tif" if by_band else ".png"
        yield _Job(pair, out / f"{pair.a.stem}{ending}" if into_folder else out, by_band)


def _pairs(a: Path, b: Path, out: Path) -> list[Pair]:
    for path in (a, b):
        if not path.exists():
            raise FusionLabError(f"The source {path} does not exist: check the path.")
    if a.is_dir() != b.is_dir():
        folder, file = (a, b) if a.is_dir() else (b, a)
        raise FusionLabError(f"{folder} is a folder and {file} is a file: give two images or two folders.")
    if not a.is_dir():
        return [Pair(a.stem, a, b)]
    if out.exists() and not out.is_dir():
        raise FusionLabError(f"The output {out} is a file, but the results of folders need a folder: name another one.")
    if not out.exists() and out.suffix.lower() in IMAGE_SUFFIXES:
        raise FusionLabError(f"The output {out} is named like an image, but the results of folders need a folder.")
    return PairDataset(".", str(a), str(b)).pairs
