"""Reading and writing images of every kind that fusion meets, without losing depth, alpha or orientation."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from fusion_lab.data.deep import deep_samples
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.picture import Picture, Pixels
from fusion_lab.data.stored_image import StoredImage
from fusion_lab.data.tiff import STARTS, check_pixels, cmyk_to_rgb, read_tiff
from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.files import atomic_path

__all__ = ["FORMATS", "IMAGE_SUFFIXES", "WRITABLE_SUFFIXES", "Picture", "Pixels", "from_pillow", "range_of_files",
           "read_picture", "read_stored", "to_pillow", "write_picture"]  # fmt: skip

WRITABLE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
"""What results can be written as."""
IMAGE_SUFFIXES = WRITABLE_SUFFIXES | {".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".avif"}
"""What is looked for in folders."""
CONVERTIBLE = {
    ".heic": "pillow-heif", ".heif": "pillow-heif", ".dcm": "pydicom", ".dicom": "pydicom", ".nii": "nibabel",
    ".nii.gz": "nibabel",
}  # fmt: skip
"""What is not read, and the package that it can be converted with."""
_KEEPS_ALPHA = frozenset({".png", ".tif", ".tiff", ".webp"})
_TIFF = frozenset({".tif", ".tiff"})
_KEEPS_16_BIT = _TIFF | {".png"}
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "PPM", "JPEG2000", "AVIF")
"""What Pillow is asked for besides TIFF: it knows more, and has Ghostscript run what looks like EPS."""
_KNOWN = "PNG, TIFF, JPEG, BMP, WebP, PGM or PPM, JPEG 2000 or AVIF"
_INCH = 0.0254
_BITS, _PHOTOMETRIC = 258, 262
_METADATA = (b"eXIf", b"Exif", b"Raw profile type", b"com.adobe.xmp", b"irot", b"imir")


def read_picture(path: Path, input_range: InputRange | str = FULL) -> Picture:
    """Read an image file, upright by its EXIF orientation and in sRGB by its ICC profile.

    Palettes are resolved, alpha is kept apart, white is the largest level whatever the file counts up to (1, 15, 4095).
    Of several frames the first is read, with a warning. docs/DATA.md tells all that is read, converted and kept.

    Args:
        path: A PNG, TIFF, JPEG, BMP, WebP, PGM, PPM, JPEG 2000 or AVIF file.
        input_range: The values that become black and white.

    Raises:
        FusionLabError: The file is missing, empty, broken, no image, or holds values of no known range.
    """
    return read_stored(path).picture(InputRange.of(input_range))


def read_stored(path: Path, frame: int = 0) -> StoredImage:
    """Read an image file as it is: its samples, and what it says of them.

    Args:
        path: The file.
        frame: Which of its images, from 0.

    Raises:
        FusionLabError: The file is missing, empty, broken or no image.
    """
    try:
        if not path.is_file():
            what = "is a folder: name a file" if path.is_dir() else "does not exist: check the path"
            raise FusionLabError(f"The image {path} {what}.")
        data = path.read_bytes()
    except OSError as error:
        raise FusionLabError(
            f"The image {path} cannot be read ({error.strerror}): check the path and the rights."
        ) from None
    if not data:
        raise FusionLabError(f"The image {path} is empty (0 bytes): replace the file.")
    try:
        if data.startswith(STARTS):
            return read_tiff(data, str(path), frame)
        with warnings.catch_warnings():
            # The limit itself is told in a sentence; half of it is no reason to worry.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if not frame:
                    return _stored(image, str(path), data)
                image.seek(frame)
                # Only Pillow reads a later frame.
                return _stored(image, str(path))
    except FusionLabError:
        raise
    except UnidentifiedImageError:
        raise FusionLabError(_no_image(path, data)) from None
    except Image.DecompressionBombError:
        check_pixels(1 << 62, str(path))
        raise
    # Arbitrary bytes make the decoders fail in arbitrary ways.
    except Exception as error:
        reason = one_line(error)
        raise FusionLabError(f"The image {path} is broken ({reason}): replace the file.") from None


def range_of_files(paths: Iterable[Path], input_range: InputRange) -> InputRange:
    """Return the levels that a range means for the values of all files together; what cannot be read is left out.

    Raises:
        FusionLabError: None can be read.
    """
    broken: list[FusionLabError] = []

    def values() -> Iterator[NDArray[Any]]:
        for path in paths:
            try:
                yield read_stored(path).measured()
            except FusionLabError as error:
                broken.append(error)

    try:
        return input_range.of_all(values())
    except ValueError:
        # There was nothing to put together.
        raise broken[0] from None


def from_pillow(image: Image.Image, name: str = "given", input_range: InputRange | str = FULL) -> Picture:
    """Take over an image of Pillow, upright by its EXIF orientation and in sRGB by its ICC profile.

    Args:
        image: An image of any mode.
        name: What error messages call it.
        input_range: The values that become black and white.

    Raises:
        FusionLabError: The full range is asked for, and its levels are floating-point numbers or do not fit into 16
            bits.
    """
    return _stored(image, name).picture(InputRange.of(input_range))


def _stored(image: Image.Image, name: str, data: bytes = b"") -> StoredImage:
    """Take over an image of Pillow, read from ``data`` if it has samples that Pillow cannot hold."""
    frames = getattr(image, "n_frames", 1) if data else 1
    deep = deep_samples(data, image, name) if data else None
    alpha: NDArray[Any] | None = None
    white: int | None
    zero_is_white = False
    profile = image.info.get("icc_profile") or b""
    if deep is not None:
        values, white = deep
        if values.ndim == 3 and values.shape[2] in (2, 4):
            alpha = values[..., -1]
            values = values[..., 0] if values.shape[2] == 2 else values[..., :3]
    else:
        # Pillow turns TIFF files itself while it loads them.
        image.load()
        values, alpha, white = _as_stored(image, profile)
        zero_is_white = _zero_is_white(image)
        profile = b"" if image.mode in ("CMYK", "LAB") else profile
    return StoredImage(
        name,
        values,
        alpha,
        white,
        zero_is_white,
        # To find the metadata of a PNG file, Pillow decodes it all; what imagecodecs has decoded rarely has some.
        orientation=1 if deep is not None and not any(mark in data for mark in _METADATA) else _orientation(image),
        profile=profile,
        resolution=_resolution(image),
        frames=frames,
    )


def _as_stored(image: Image.Image, profile: bytes) -> tuple[NDArray[Any], NDArray[Any] | None, int | None]:
    """Return grey or RGB values of an image of Pillow, alpha if it has some, and the value of white."""
    mode = image.mode
    if mode.startswith("I;16"):
        values = np.asarray(image).astype(np.uint16)
        # A TIFF file that somebody has opened with Pillow, which keeps the values of 12 bits as they are.
        bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0]
        see_through = image.info.get("transparency")
        alpha = np.where(values == see_through, 0, 0xFFFF).astype(np.uint16) if isinstance(see_through, int) else None
        return values, alpha, 2**bits - 1
    if mode in ("I", "F"):
        return np.asarray(image), None, None
    if mode == "CMYK":
        return cmyk_to_rgb(np.asarray(image), profile), None, 0xFF
    if image.has_transparency_data:
        grey = mode in {"1", "L", "LA", "La"}
        bands = np.asarray(image.convert("LA" if grey else "RGBA"))
        return bands[..., 0] if grey else bands[..., :3], bands[..., -1], 0xFF
    return np.asarray(image.convert("L" if mode in {"1", "L"} else "RGB")), None, 0xFF


def _zero_is_white(image: Image.Image) -> bool:
    """Tell whether Pillow has left the values of a TIFF file the other way round, as it does with more than 8 bits."""
    return image.mode in ("I;16", "F") and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0


def _orientation(image: Image.Image) -> Any:
    """Return the EXIF orientation, 1 for upright; metadata that cannot be read say nothing."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Return the pixels per inch across and down; what is no such number says nothing."""
    try:
        across, down = (float(one) for one in image.info["dpi"])
    except (KeyError, TypeError, ValueError):
        return None
    return (across, down) if 0 < across < np.inf and 0 < down < np.inf else None


def _no_image(path: Path, data: bytes) -> str:
    """Say what a file is that cannot be read."""
    known = data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc")
    kind = "HEIC" if known else "DICOM" if data[128:132] == b"DICM" else ""
    if not kind and (data[344:347] in (b"n+1", b"ni1") or path.name.lower().endswith((".nii", ".nii.gz"))):
        kind = "NIfTI"
    if kind:
        package = {"HEIC": "pillow-heif", "DICOM": "pydicom", "NIfTI": "nibabel"}[kind]
        return f"The file {path} is {kind}, which is not read: convert it to PNG or TIFF, for instance with {package}."
    return f"The file {path} is not an image that can be read: give {_KNOWN}."


def to_pillow(picture: Picture) -> Image.Image:
    """Return an image of Pillow: ``L``, ``LA``, ``RGB``, ``RGBA``, or ``I;16`` for 16-bit grey without alpha.

    Pillow can hold no other 16-bit images: they are rounded to 8 bits.
    """
    if picture.pixels.ndim == 2 and picture.alpha is None:
        return Image.fromarray(picture.pixels)
    flat = picture.flatten()
    return Image.fromarray(flat.pixels if flat.alpha is None else np.dstack([flat.pixels, flat.alpha]))


def write_picture(picture: Picture, path: Path) -> None:
    """Write a picture in the format of the suffix, all at once: an interrupted write leaves nothing.

    PNG and TIFF keep 16 bits and alpha, WebP keeps alpha; TIFF keeps geotags; PNG, TIFF and JPEG keep the resolution.
    Other formats drop what they cannot hold. Grey with alpha is stored as three equal channels and alpha. JPEG is
    written at quality 95, WebP without loss.

    Raises:
        FusionLabError: The suffix names no image format that can be written, or the file cannot be written.
    """
    suffix = check_image_suffix(path)
    if suffix not in _KEEPS_16_BIT:
        picture = picture.flatten()
    pixels, alpha = picture.pixels, picture.alpha if suffix in _KEEPS_ALPHA else None
    if alpha is not None:
        pixels = np.dstack([*([pixels] * 3 if pixels.ndim == 2 else [pixels]), alpha])
    if suffix in _TIFF:
        content = _tiff(picture, pixels)
    else:
        content = _with_resolution(_encoded(pixels, suffix, path), picture.resolution)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise FusionLabError(f"The image {path} cannot be written ({error.strerror}).") from None


def _encoded(pixels: Pixels, suffix: str, path: Path) -> bytes:
    options = {
        ".jpg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".jpeg": [cv2.IMWRITE_JPEG_QUALITY, 95],
        ".webp": [cv2.IMWRITE_WEBP_QUALITY, 101],
    }
    # OpenCV takes blue first.
    bands = pixels if pixels.ndim == 2 else pixels[..., [2, 1, 0, 3][: pixels.shape[2]]]
    try:
        encoded, buffer = cv2.imencode(suffix, np.ascontiguousarray(bands), options.get(suffix, []))
    except cv2.error:
        encoded = False
    if not encoded:
        raise FusionLabError(f"The image {path} cannot be encoded as {suffix}: use .png.")
    return buffer.tobytes()


def _tiff(picture: Picture, pixels: Pixels) -> bytes:
    content = io.BytesIO()
    tifffile.imwrite(
        content,
        pixels,
        photometric="minisblack" if pixels.ndim == 2 else "rgb",
        extrasamples=["unassalpha"] if pixels.ndim == 3 and pixels.shape[2] == 4 else None,
        # Every reader knows Deflate.
        compression="adobe_deflate",
        metadata=None,
        software=False,
        extratags=picture.geotags,
        resolution=picture.resolution,
        resolutionunit="inch" if picture.resolution else None,
    )
    return content.getvalue()


def _with_resolution(content: bytes, resolution: tuple[float, float] | None) -> bytes:
    """Add the resolution to a PNG or JPEG file that has none."""
    if resolution is None:
        return content
    if content.startswith(b"\x89PNG"):
        per_metre = [min(round(one / _INCH), 2**31 - 1) for one in resolution]
        chunk = b"pHYs" + struct.pack(">IIB", *per_metre, 1)
        # It follows IHDR, which ends after 33 bytes.
        return content[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]
    if content[6:11] == b"JFIF\0":
        per_inch = [min(max(round(one), 1), 0xFFFF) for one in resolution]
        return content[:13] + struct.pack(">BHH", 1, *per_inch) + content[18:]
    return content


def check_image_suffix(path: Path) -> str:
    """Return the suffix of ``path`` in lower case.

    Raises:
        FusionLabError: It names no image format that can be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        choices = ", ".join(sorted(WRITABLE_SUFFIXES))
        raise FusionLabError(f"The output {path} has no image suffix that can be written: use one of {choices}.")
    return suffix
