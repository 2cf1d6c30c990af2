"""The pictures of docs/, of the embedded data alone: ``python -m tools.pictures NAME -o docs/images/NAME.jpg``."""

import argparse
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import cv2
import numpy as np
from skimage.data import astronaut

from fusion_lab.data.embedded import read_street
from fusion_lab.data.embedded_pairs import EmbeddedPairs
from fusion_lab.data.picture import Picture, Pixels
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.weights import load_network
from fusion_lab.registration import align_pictures, warp_picture
from fusion_lab.reporting.pictures import picture_grid

Rows = list[dict[str, Pixels]]

_SOURCES: dict[Literal["ivf", "mff", "mef"], tuple[str, str]] = {
    "ivf": ("visible", "infrared"),
    "mff": ("far focus", "near focus"),
    "mef": ("over-exposed", "under-exposed"),
}
_STREET = 3
_FRAMES = 5


def fused(weights: list[Path]) -> Rows:
    """Draw one validation pair of each task, and what the packaged network makes of it."""
    fuser = Fuser(load_network())
    rows: Rows = []
    with TemporaryDirectory() as folder:
        for task, names in _SOURCES.items():
            pairs = EmbeddedPairs(task, "val", folder, *("ab" if task == "ivf" else "ba"))
            pairs.prepare()
            a, b = pairs.pairs[0].read()
            rows.append(dict(zip([*names, "fused"], (a.pixels, b.pixels, fuser(a, b).pixels), strict=True)))
    return rows


def stacks(weights: list[Path]) -> Rows:
    """Draw frames that are each sharp in one stripe, and what becomes of them."""
    image = astronaut()[20:212, 130:322]
    blurred = cv2.GaussianBlur(image, (0, 0), 3)
    frames = []
    for number in range(_FRAMES):
        columns = np.arange(image.shape[1]) * _FRAMES // image.shape[1]
        sharp = cv2.GaussianBlur((columns == number).astype(np.float32)[None], (0, 0), 2)[..., None]
        frames.append(np.rint(sharp * image + (1 - sharp) * blurred).astype(np.uint8))
    fused = Fuser(load_network()).fuse_many(list(map(Picture, frames)))
    return [{f"frame {number + 1}": frame for number, frame in enumerate(frames)} | {"fused": fused.pixels}]


def align(weights: list[Path]) -> Rows:
    """Draw an infrared image that was warped, as it lies and as it is moved, each with what is fused."""
    a, b = _street()
    height, width = b.pixels.shape[:2]
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32)
    moved = corners + np.array([[14, 6], [3, 12], [9, -4], [-6, 5]], np.float32)
    b = warp_picture(b, cv2.getPerspectiveTransform(corners, moved).astype(np.float64), (width, height))
    aligned, found = align_pictures(a, b)
    if not found.trusted:
        raise SystemExit(f"The warp is not found: {', '.join(found.doubts)}.")
    fuser = Fuser(load_network())
    lies = {"visible": a.pixels, "infrared, as it lies": b.pixels, "fused": fuser(a, b).pixels}
    return [lies, {"visible": a.pixels, "infrared, moved": aligned.pixels, "fused": fuser(a, aligned).pixels}]


def fine_tuning(weights: list[Path]) -> Rows:
    """Draw what two networks make of one pair: one that learnt from nothing, one that went on from shipped weights."""
    a, b = _street()
    nothing, shipped = (Fuser(load_network(path))(a, b).pixels for path in weights)
    sources = {"visible": a.pixels, "infrared": b.pixels}
    return [sources | {"from nothing": nothing, "from shipped weights": shipped}]


def _street() -> tuple[Picture, Picture]:
    a, b = read_street(_STREET)
    return Picture(np.asarray(a)), Picture(np.asarray(b))


PICTURES: dict[str, Callable[[list[Path]], Rows]] = {
    "fused": fused,
    "stacks": stacks,
    "align": align,
    "fine_tuning": fine_tuning,
}


def main() -> None:
    """Draw one picture."""
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    parser.add_argument("name", choices=PICTURES)
    parser.add_argument("weights", type=Path, nargs="*", help="for fine_tuning: from nothing, from shipped weights")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    picture_grid(PICTURES[args.name](args.weights)).savefig(args.output, dpi=100)


if __name__ == "__main__":
    main()
