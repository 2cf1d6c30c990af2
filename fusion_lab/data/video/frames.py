"""Reading all images of one file."""

from dataclasses import replace
from pathlib import Path

from fusion_lab.data.images import Picture, read_stored
from fusion_lab.data.input_range import FULL, InputRange


def read_frames(path: Path, input_range: InputRange | str = FULL) -> list[Picture]:
    """Read all pages of a TIFF file, or all frames of an animated PNG, WebP or AVIF file, as `read_picture` does.

    Raises:
        FusionLabError: The file cannot be read, or its images have no pages of their own, as in the stacks of ImageJ.
    """
    first = read_stored(path)
    stored = [first, *(read_stored(path, frame) for frame in range(1, first.frames))]
    return [replace(each, frames=1).picture(InputRange.of(input_range)) for each in stored]
