"""Sizes of image files by their headers alone: what is too small is told before training starts."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from tifffile import TiffFile

from fusion_lab.data.bad_samples import BadSamples
from fusion_lab.data.images import FORMATS
from fusion_lab.data.pairs import Pair, PairDataset
from fusion_lab.data.tiff import STARTS
from fusion_lab.errors import FusionLabError

_THREADS = 8


def size_of(path: Path) -> tuple[int, int] | None:
    """Return the height and width of an image as it is stored; None where the header does not tell."""
    try:
        with path.open("rb") as file:
            is_tiff = file.read(4) in STARTS
        if is_tiff:
            with TiffFile(path) as tiff:
                page = tiff.pages.first
                return page.imagelength, page.imagewidth
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                return image.height, image.width
    # What is wrong with the file is told by whoever reads it.
    except Exception:
        return None


def refuse_small(datasets: dict[str, list[PairDataset]], patch: int, bad: BadSamples | None) -> None:
    """Look for pairs that are smaller than the crop, or note them as bad ones.

    Args:
        datasets: The training data sets of each task.
        patch: The side of the crop in pixels.
        bad: Where bad pairs are noted; None where they end the run.

    Raises:
        FusionLabError: There are some, or more than may be bad.
    """
    for task, several in datasets.items():
        pairs = [pair for dataset in several for pair in dataset.pairs]
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
            sizes = list(threads.map(size_of, [pair.a for pair in pairs]))
        small = [number for number, size in enumerate(sizes) if size is not None and min(size) < patch]
        if small and bad is None:
            others = f" ({len(small)} of the {len(pairs)} pairs of task '{task}' are)" if len(small) > 1 else ""
            raise FusionLabError(f"{_told(pairs[small[0]], sizes[small[0]], patch)}{others}.")
        for number in small:
            assert bad is not None
            bad.leave_out(task, number, f"{_told(pairs[number], sizes[number], patch)}.")


def _told(pair: Pair, size: tuple[int, int] | None, patch: int) -> str:
    assert size is not None
    return (
        f"The pair '{pair.name}' ({size[1]}x{size[0]}) is smaller than the crop of {patch} pixels: "
        "leave it out or choose a smaller `patch`"
    )
