"""Make the simulated streets that the package carries: ``python -m tools.street FOLDER``.

The images of ``fusion_lab/data/streets`` were made once by this program. A test sees that it makes them again.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusion_lab.data.embedded import STREETS, street_name
from tools.street.thermal_scene import simulate_scene

SIZES = ((256, 320), (240, 320), (272, 288), (255, 321))
"""Heights and widths in turn; the last is odd on purpose."""


def streets() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Return the name, the visible image ``(H, W, 3)`` and the infrared image ``(H, W)`` of each street."""
    for seeds in STREETS.values():
        for index, seed in enumerate(seeds):
            yield street_name(seed), *simulate_scene(seed, SIZES[index % len(SIZES)])


def main(folder: Path) -> None:
    """Write every street as two lossless WebP files, a quarter smaller than PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, visible, infrared in streets():
        for role, pixels in {"a": visible, "b": infrared}.items():
            file = folder / f"{name}_{role}.webp"
            Image.fromarray(pixels).save(file, lossless=True, quality=100, method=6)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
