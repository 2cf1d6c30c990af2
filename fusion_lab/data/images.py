"""Reading and writing images of every kind that fusion meets, without losing depth, alpha or orientation."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_KEEPS_ALPHA = frozenset({".png", ".tif", ".tiff", ".webp"})
_KEEPS_16_BIT = frozenset({".png", ".tif", ".tiff"})
# Pillow knows more, and has Ghostscript run what looks like EPS.
_FORMATS = ("PNG", "TIFF", "JPEG", "BMP", "WEBP")
_LONGEST_REASON = 200

Pixels = NDArray[Any]
"""Levels, uint8 or uint16."""


@dataclass(frozen=True)
class Picture:
    """One decoded image.

    Attributes:
        pixels: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8 or uint16.
        alpha: ``(H, W)`` of the same type, or None where the file has none.
    """

    pixels: Pixels
    alpha: Pixels | None = None

    @property
    def is_grey(self) -> bool:
        """Whether the picture has one channel, or three equal ones as grey files stored as RGB have."""
        return self.pixels.ndim == 2 or bool(
            (self.pixels[..., 0] == self.pixels[..., 1]).all() and (self.pixels[..., 1] == self.pixels[..., 2]).all()
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def levels(self) -> int:
        """The largest level: 255 or 65535."""
        return int(np.iinfo(self.pixels.dtype).max)

    def luminance(self) -> Pixels:
        """Give the ITU-R 601 luma ``(H, W)`` in Pillow's fixed-point arithmetic, as the releases do."""
        if self.pixels.ndim == 2:
            return self.pixels
        red, green, blue = (self.pixels[..., i].astype(np.uint64) for i in range(3))
        luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
        return luma.astype(self.pixels.dtype)

    def deepen(self) -> "Picture":
        """Give the same picture with 16 bits a channel."""
        if self.pixels.dtype == np.uint16:
            return self
        alpha = None if self.alpha is None else self.alpha.astype(np.uint16) * 257
        return Picture(self.pixels.astype(np.uint16) * 257, alpha)

    def flatten(self) -> "Picture":
        """Give the same picture with 8 bits a channel, rounded."""
        if self.pixels.dtype == np.uint8:
            return self

        def rounded(levels: Pixels) -> Pixels:
            return ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)

        return Picture(rounded(self.pixels), None if self.alpha is None else rounded(self.alpha))


def read_picture(path: Path) -> Picture:
    """Read an 8- or 16-bit PNG, TIFF, JPEG, BMP or WebP file, upright by its EXIF orientation.

    Palettes are resolved, alpha is kept apart, one-bit images become 0 and 255.

    Raises:
        FusionLabError: The file is missing, empty, broken, no image, or has no 8 or 16 bits a channel.
    """
    try:
        if not path.is_file():
            what = "is a folder: name a file" if path.is_dir() else "does not exist: check the path"
            raise FusionLabError(f"The image {path} {what}.")
        # Pillow maps a file that it opens by its path into memory, and then misreads turned grey TIFF files.
        data = path.read_bytes()
    except OSError as error:
        raise FusionLabError(
            f"The image {path} cannot be read ({error.strerror}): check the path and the rights."
        ) from None
    if not data:
        raise FusionLabError(f"The image {path} is empty (0 bytes): replace the file.")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            if _is_deep_colour(data, image):
                return _read_deep_colour(data, image, str(path))
            return from_pillow(image, str(path))
    except FusionLabError:
        raise
    except UnidentifiedImageError:
        raise FusionLabError(
            f"The file {path} is not an image that can be read: give PNG, TIFF, JPEG, BMP or WebP."
        ) from None
    except Image.DecompressionBombError:
        raise FusionLabError(
            f"The image {path} has more pixels than Pillow reads by default: cut it into parts, or raise "
            "`PIL.Image.MAX_IMAGE_PIXELS` in Python."
        ) from None
    # Arbitrary bytes make the decoders fail in arbitrary ways.
    except Exception as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise FusionLabError(f"The image {path} is broken ({reason}): replace the file.") from None


def from_pillow(image: Image.Image, name: str = "given") -> Picture:
    """Take over an image of Pillow, upright by its EXIF orientation.

    Args:
        image: An image of any mode but floating point.
        name: What error messages call it.

    Raises:
        FusionLabError: Its levels are floating-point numbers or do not fit into 16 bits.
    """
    # Pillow turns TIFF files itself while it loads them.
    image.load()
    picture = _as_stored(image, name)
    orientation = _orientation(image)
    alpha = None if picture.alpha is None else _upright(picture.alpha, orientation)
    return Picture(_upright(picture.pixels, orientation), alpha)


def _as_stored(image: Image.Image, name: str) -> Picture:
    """Take over an image of Pillow without turning it."""
    mode = image.mode
    if mode.startswith("I;16"):
        return Picture(np.asarray(image).astype(np.uint16))
    if mode == "I":
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 0xFFFF:
            raise FusionLabError(f"The image {name} has levels outside 0..65535: store it with 8 or 16 bits.")
        return Picture(levels.astype(np.uint16))
    if mode == "F":
        raise FusionLabError(f"The image {name} has floating-point levels: store it with 8 or 16 bits.")
    if image.has_transparency_data:
        grey = mode in {"1", "L", "LA", "La"}
        bands = np.asarray(image.convert("LA" if grey else "RGBA"))
        return Picture(bands[..., 0] if grey else bands[..., :3], bands[..., -1])
    return Picture(np.asarray(image.convert("L" if mode in {"1", "L"} else "RGB")))


def _orientation(image: Image.Image) -> Any:
    """Give the EXIF orientation, 1 for upright; metadata that cannot be read say nothing."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def to_pillow(picture: Picture) -> Image.Image:
    """Give an image of Pillow: ``L``, ``LA``, ``RGB``, ``RGBA``, or ``I;16`` for 16-bit grey without alpha.

    Pillow can hold no other 16-bit images: they are rounded to 8 bits.
    """
    if picture.pixels.ndim == 2 and picture.alpha is None:
        return Image.fromarray(picture.pixels)
    flat = picture.flatten()
    return Image.fromarray(flat.pixels if flat.alpha is None else np.dstack([flat.pixels, flat.alpha]))


def _is_deep_colour(data: bytes, image: Image.Image) -> bool:
    """Tell whether the file has 16 bits in several channels, which Pillow would cut to 8."""
    if image.format == "PNG":
        # IHDR: bit depth and colour type follow the width and height; colour type 0 is grey.
        return data[24] == 16 and data[25] != 0
    if image.format == "TIFF":
        bits: Sequence[int] = image.tag_v2.get(258, (1,))  # type: ignore[attr-defined]
        return len(bits) > 1 and max(bits) == 16
    return False


def _read_deep_colour(data: bytes, image: Image.Image, name: str) -> Picture:
    # OpenCV turns TIFF files upright itself, but no PNG files.
    orientation = _orientation(image) if image.format == "PNG" else 1
    bands = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if bands is None or bands.dtype != np.uint16 or bands.ndim != 3 or bands.shape[2] not in (3, 4):
        raise FusionLabError(f"The image {name} has 16 bits in a layout that cannot be read: store it as RGB or RGBA.")
    bands = _upright(bands, orientation)
    rgb = np.ascontiguousarray(bands[..., 2::-1])
    return Picture(rgb, np.ascontiguousarray(bands[..., 3]) if bands.shape[2] == 4 else None)


def _upright(bands: Pixels, orientation: Any) -> Pixels:
    """Turn an image as EXIF orientation 1..8 says; anything else says nothing."""
    if orientation in (2, 4, 5, 7):
        bands = bands[:, ::-1]
    quarter_turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    return np.ascontiguousarray(np.rot90(bands, quarter_turns))


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture in the format of the suffix, all at once: an interrupted write leaves nothing.

    PNG and TIFF keep 16 bits and alpha, WebP keeps alpha; other formats drop what they cannot hold. Grey with
    alpha is stored as three equal channels and alpha. JPEG is written at quality 95, WebP without loss.

    Raises:
        FusionLabError: The suffix names no image format that can be written, or the file cannot be written.
    """
    suffix = check_image_suffix(path)
    if suffix not in _KEEPS_16_BIT:
        picture = picture.flatten()
    pixels, alpha = picture.pixels, picture.alpha if suffix in _KEEPS_ALPHA else None
    if pixels.ndim == 3:
        bands = pixels[..., ::-1] if alpha is None else np.dstack([pixels[..., ::-1], alpha])
    else:
        bands = pixels if alpha is None else np.dstack([pixels, pixels, pixels, alpha])
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
        # OpenCV's own choice, LZW, needs a further package to be read as a raster.
        ".tif": [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE],
        ".tiff": [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE],
    }
    try:
        encoded, buffer = cv2.imencode(suffix, np.ascontiguousarray(bands), options.get(suffix, []))
    except cv2.error:
        encoded = False
    if not encoded:
        raise FusionLabError(f"The image {path} cannot be encoded as {suffix}: use .png.")
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(buffer.tobytes())
    except OSError as error:
        raise FusionLabError(f"The image {path} cannot be written ({error.strerror}).") from None


def check_image_suffix(path: Path) -> str:
    """Give the suffix of ``path`` in lower case.

    Raises:
        FusionLabError: It names no image format that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        choices = ", ".join(sorted(IMAGE_SUFFIXES))
        raise FusionLabError(f"The output {path} has no image suffix that can be written: use one of {choices}.")
    return suffix
