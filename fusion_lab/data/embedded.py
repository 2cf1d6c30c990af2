"""A few pairs for every task: enough to start, test and demonstrate without a download.

Infrared-visible pairs are simulated streets, which the package carries: ``tools/street`` made them. Multi-focus
and multi-exposure pairs are rendered from photographs that scikit-image carries in its package; only those of the
motorcycle have a measured depth. No photograph serves both training and validation, in either task.
"""

import io
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.synthetic.defocus import focus_pair, smooth_depth
from fusion_lab.data.synthetic.exposure import exposure_pair
from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder, sha256, working_folder, write_text

VERSION = 1
"""Rises whenever the same call would write other images."""
SEED = 20240

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Crop:
    """A rectangle of a photograph in scikit-image's package, in that photograph's own pixels."""

    photograph: str
    top: int
    left: int
    height: int
    width: int
    shrink: int = 1
    """How many of its pixels make one of the crop, along each side."""


@dataclass(frozen=True)
class _EmbeddedPair:
    """Two aligned sources and where they come from."""

    folder: str
    """Task and split, such as ``mff/train``."""
    name: str
    images: dict[str, Image]
    """``a``, ``b`` and where known ``target``; colour as RGB."""
    provenance: str


STREETS: dict[str, range] = {"train": range(24), "val": range(1000, 1004)}
"""Seeds of the simulated streets."""

CROPS: dict[str, tuple[Crop, ...]] = {
    "train": (
        Crop("astronaut.png", 0, 100, 256, 288),
        Crop("astronaut.png", 240, 0, 272, 256),
        Crop("astronaut.png", 248, 240, 264, 272),
        Crop("astronaut.png", 0, 290, 288, 222),
        Crop("astronaut.png", 112, 96, 320, 300),
        Crop("rocket.jpg", 100, 40, 280, 320),
        Crop("rocket.jpg", 199, 320, 228, 300),
        Crop("rocket.jpg", 40, 230, 300, 260),
        Crop("camera.png", 20, 60, 288, 280),
        Crop("camera.png", 170, 240, 300, 272),
        Crop("camera.png", 110, 180, 240, 320),
        Crop("coins.png", 0, 0, 303, 384),
        Crop("ihc.png", 0, 0, 272, 288),
        Crop("ihc.png", 212, 150, 300, 340),
        Crop("retina.jpg", 200, 110, 1040, 1200, shrink=4),
        Crop("hubble_deep_field.jpg", 100, 120, 560, 640, shrink=2),
        Crop("brick.png", 100, 60, 288, 288),
        Crop("gravel.png", 80, 100, 272, 256),
        Crop("grass.png", 100, 100, 256, 272),
        Crop("moon.png", 0, 60, 300, 320),
    ),
    "val": (
        Crop("motorcycle_left.png", 40, 310, 320, 341),
        Crop("motorcycle_left.png", 130, 30, 300, 340),
        Crop("coffee.png", 40, 120, 320, 360),
        Crop("chelsea.png", 0, 60, 300, 320),
    ),
}
"""The scenes of the multi-focus and the multi-exposure pairs."""


def street_name(seed: int) -> str:
    """Return the name of a simulated street."""
    return f"street_{seed:04d}"


def read_street(seed: int) -> tuple[Image, Image]:
    """Return a simulated street, one of `STREETS`: visible, RGB ``(H, W, 3)``, and infrared, ``(H, W)``."""
    folder = files("fusion_lab") / "data" / "streets"
    visible, infrared = (_decode((folder / f"{street_name(seed)}_{role}.webp").read_bytes()) for role in "ab")
    # WebP has no grey images: a grey one is stored as three equal channels.
    return visible, np.ascontiguousarray(infrared[..., 0])


def write_embedded_pairs(root: Path) -> Path:
    """Write the embedded pairs below ``root``, unless they are there already, and return ``root``.

    The images are ``TASK/SPLIT/a/NAME.png`` and ``.../b/NAME.png``, for multi-focus pairs also
    ``.../target/NAME.png``. In the order of the usual data sets, ``a`` is the visible, the near-focused, the
    under-exposed image and ``b`` the infrared (grey), the far-focused, the over-exposed one.
    ``manifest.json`` tells the version, each pair's provenance and each file's SHA-256. The folder appears
    complete or not at all.

    Raises:
        FusionLabError: ``root`` holds other files, cannot be written, or scikit-image lacks a photograph.
    """
    if _is_complete(root):
        return root
    _refuse_foreign_files(root)
    with working_folder(root.parent, root.name) as temporary:
        # It is private; a folder made inside it gets the rights of an ordinary one.
        finished = make_folder(temporary / root.name)
        _write(finished)
        if not _is_complete(root):
            with suppress(FileNotFoundError):
                root.rename(temporary / "earlier")
            try:
                finished.rename(root)
            except OSError:
                # Another process may have been faster.
                if not _is_complete(root):
                    raise
    return root


def _is_complete(root: Path) -> bool:
    """Return whether this version's images stand below ``root``, all of them and unchanged."""
    manifest = _read_manifest(root)
    if manifest.get("version") != VERSION:
        return False
    return all(
        (root / name).is_file() and sha256(root / name) == checksum for name, checksum in manifest["files"].items()
    )


def _read_manifest(root: Path) -> dict:
    """Return the manifest below ``root``, empty where there is none."""
    try:
        manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else {}


def _refuse_foreign_files(root: Path) -> None:
    """Make sure that replacing ``root`` deletes nothing but what an earlier version wrote there."""
    own = {root / name for name in (*_read_manifest(root).get("files", {}), "manifest.json")}
    foreign = sorted(path for path in (root, *root.rglob("*")) if path.is_file() and path not in own)
    if foreign:
        raise FusionLabError(
            f"The embedded pairs need {root} for themselves, but {foreign[0]} stands there: "
            "name another folder or move the file."
        )


def _write(folder: Path) -> None:
    """Write every pair and then the manifest into an empty folder."""
    checksums: dict[str, str] = {}
    pairs = []
    for pair in _pairs():
        for role, image in pair.images.items():
            name = f"{pair.folder}/{role}/{pair.name}.png"
            make_folder((folder / name).parent)
            (folder / name).write_bytes(_png(image))
            checksums[name] = sha256(folder / name)
        pairs.append({"folder": pair.folder, "name": pair.name, "provenance": pair.provenance})
    manifest = {"version": VERSION, "seed": SEED, "pairs": pairs, "files": checksums}
    write_text(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def _pairs() -> Iterator[_EmbeddedPair]:
    """Make every pair of every task."""
    for split, seeds in STREETS.items():
        for seed in seeds:
            provenance = f"simulated street, seed {seed}; nothing in it is measured"
            yield _EmbeddedPair(
                f"ivf/{split}", street_name(seed), dict(zip("ab", read_street(seed), strict=True)), provenance
            )
    for split, crops in CROPS.items():
        for index, crop in enumerate(crops):
            name = f"{Path(crop.photograph).stem}_{index:02d}"
            yield _multi_focus(crop, f"mff/{split}", name)
            yield _multi_exposure(crop, f"mef/{split}", name)


def _multi_focus(crop: Crop, folder: str, name: str) -> _EmbeddedPair:
    """Render a crop with its near and with its far half in focus."""
    generator = _generator(f"{folder}/{name}")
    image = _cut(_photograph(crop.photograph), crop)
    if crop.photograph == "motorcycle_left.png":
        depth, origin = _cut(_motorcycle_depth(), crop), "measured depth"
    else:
        depth, origin = smooth_depth(image.shape[:2], generator), "invented depth"
    radius, split = generator.uniform(8, 14), generator.uniform(0.42, 0.58)
    near, far = focus_pair(image, depth, radius, split)
    provenance = (
        f"{_describe(crop)}; {origin}, near and far divided at {split:.2f} of its range, "
        f"blur of {radius:.1f} pixels over the whole range"
    )
    return _EmbeddedPair(folder, name, {"a": near, "b": far, "target": image}, provenance)


def _multi_exposure(crop: Crop, folder: str, name: str) -> _EmbeddedPair:
    """Expose a crop too little and too much."""
    generator = _generator(f"{folder}/{name}")
    under_stops, over_stops = generator.uniform(-2, -0.5), generator.uniform(1.8, 3.2)
    contrast = generator.uniform(1.2, 1.7)
    image = _cut(_photograph(crop.photograph), crop)
    under, over = exposure_pair(image, under_stops, over_stops, contrast, generator=generator)
    provenance = (
        f"{_describe(crop)}; exposed by {under_stops:+.1f} and {over_stops:+.1f} stops "
        f"after its contrast was raised to the power {contrast:.2f}"
    )
    return _EmbeddedPair(folder, name, {"a": under, "b": over}, provenance)


def _generator(name: str) -> np.random.Generator:
    """Return a pair's own source of chance, so that no pair depends on those before it."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def _describe(crop: Crop) -> str:
    """Return where a crop was cut, in words."""
    scale = f", shrunk {crop.shrink} times" if crop.shrink > 1 else ""
    return (
        f"{crop.photograph} of scikit-image, rows {crop.top} to {crop.top + crop.height}, "
        f"columns {crop.left} to {crop.left + crop.width}{scale}"
    )


def _cut(picture: NDArray, crop: Crop) -> NDArray:
    """Return the crop of a photograph, or of a map ``(H, W)`` that belongs to it."""
    rows, columns = slice(crop.top, crop.top + crop.height), slice(crop.left, crop.left + crop.width)
    cut = np.ascontiguousarray(picture[rows, columns])
    size = (crop.width // crop.shrink, crop.height // crop.shrink)
    return cut if crop.shrink == 1 else np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA))


def _photograph(name: str) -> Image:
    """Return a photograph of scikit-image as RGB ``(H, W, 3)``."""
    return _decode(_package_bytes(name))


def _decode(content: bytes) -> Image:
    """Return the image of a file as RGB ``(H, W, 3)``."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def _motorcycle_depth() -> NDArray[np.float32]:
    """Return the motorcycle's depth ``(H, W)`` in [0, 1], 0 nearest, from its measured disparity."""
    disparity = np.load(io.BytesIO(_package_bytes("motorcycle_disp.npz")))["arr_0"]
    disparity = np.where(np.isfinite(disparity), disparity, np.nan)
    # Disparity is missing mostly where one of the two views is hidden: there the farther neighbour continues.
    disparity = np.fmin(_fill_from_left(disparity), _fill_from_left(disparity[:, ::-1])[:, ::-1])
    nearest, farthest = np.nanmax(disparity), np.nanmin(disparity)
    return np.nan_to_num((nearest - disparity) / (nearest - farthest), nan=1.0).astype(np.float32)


def _fill_from_left(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Replace each NaN of ``(H, W)`` by the last number to its left, where there is one."""
    columns = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum.accumulate(columns, axis=1), axis=1)


def _package_bytes(name: str) -> bytes:
    """Return a file that scikit-image's package carries; never download one.

    Raises:
        FusionLabError: The installed release does not carry it.
    """
    try:
        return (files("skimage") / "data" / name).read_bytes()
    except FileNotFoundError:
        raise FusionLabError(
            f"The installed scikit-image does not carry {name}: install scikit-image 0.25 or 0.26."
        ) from None


def _png(image: Image) -> bytes:
    """Return the PNG file of an RGB ``(H, W, 3)`` or grey ``(H, W)`` image."""
    stored = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    return bytes(cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1])
