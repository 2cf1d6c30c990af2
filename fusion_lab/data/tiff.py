"""Reading TIFF files, whatever their layout, depth, byte order, compression and photometric interpretation."""

import io
import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import COMPRESSION, EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage

from fusion_lab.data.picture import NODATA, Tags
from fusion_lab.data.profiles import to_srgb
from fusion_lab.data.stored_image import StoredImage
from fusion_lab.errors import FusionLabError

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""What files of TIFF and BigTIFF begin with."""

# ModelPixelScale, ModelTiepoint, ModelTransformation, the three GeoKey tags, and RPCCoefficient.
_GEOTIFF_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 50844, NODATA)
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT, _ORIENTATION, _ICC_PROFILE, _INK_SET = 282, 283, 296, 274, 34675, 332
_INCHES = {2: 1.0, 3: 2.54}
_COLOURS: dict[int, int] = {
    PHOTOMETRIC.MINISWHITE: 1, PHOTOMETRIC.MINISBLACK: 1, PHOTOMETRIC.RGB: 3, PHOTOMETRIC.PALETTE: 1,
    PHOTOMETRIC.SEPARATED: 4, PHOTOMETRIC.YCBCR: 3, PHOTOMETRIC.CIELAB: 3,
}  # fmt: skip
_ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
_JPEG = (COMPRESSION.JPEG, COMPRESSION.JPEG_LOSSY)
_ADOBE_ALPHA = 999

# What is wrong with a file is told in one sentence by whoever reads it.
logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)


def read_tiff(data: bytes, name: str, frame: int = 0) -> StoredImage:
    """Read an image of a TIFF file.

    Args:
        data: The file.
        name: What messages call it.
        frame: Which of its pages, from 0; previews and masks do not count.

    Raises:
        FusionLabError: It holds samples that are no grey or colours that can be told, or too many pixels.
        Exception: It is broken.
    """
    with TiffFile(io.BytesIO(data)) as file:
        pages = [page for page in file.pages if isinstance(page, TiffPage) and not (page.is_reduced or page.is_mask)]
        if not len(file.pages):
            raise ValueError("it holds no image")
        if not pages:
            raise FusionLabError(f"The image {name} holds only a preview or a mask of another one: give that one.")
        if frame >= len(pages):
            raise FusionLabError(f"The images of {name} have no pages of their own: save them as pages, or as files.")
        page = pages[frame]
        frames = max(len(pages), _frames_of(file))
        check_pixels(page.imagewidth * page.imagelength, name)
        _check_kind(page, name)
        if _needs_libtiff(page):
            return _by_libtiff(data, page, name, frames)
        values, alpha, white = _samples(page, name)
        profile = _profile(page)
        if page.photometric == PHOTOMETRIC.SEPARATED:
            values, profile = cmyk_to_rgb(values, profile), b""
        return StoredImage(
            name,
            values,
            alpha,
            white,
            page.photometric == PHOTOMETRIC.MINISWHITE,
            _value(page, _ORIENTATION),
            profile,
            _nodata_of(page),
            geotags_of(page),
            resolution_of(page),
            frames,
        )


def check_pixels(number: int, name: str) -> None:
    """Refuse what would take more memory than an image should.

    Raises:
        FusionLabError: There are more pixels than Pillow reads.
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and number > 2 * most:
        raise FusionLabError(
            f"The image {name} has more pixels than Pillow reads by default: cut it into parts, or raise "
            "`PIL.Image.MAX_IMAGE_PIXELS` in Python."
        )


def white_of(page: TiffPage) -> int | None:
    """Return the value of white by the bits of a sample; None for signed and floating-point samples."""
    bits = page.bitspersample
    assert page.dtype is not None
    return 2**bits - 1 if page.dtype.kind in "bu" and isinstance(bits, int) else None


def geotags_of(page: TiffPage) -> Tags:
    """Return the tags that say where on Earth an image lies, and which value means nothing."""
    tags = [page.tags[code] for code in _GEOTIFF_TAGS if code in page.tags]
    return tuple((tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags)


def resolution_of(page: TiffPage) -> tuple[float, float] | None:
    """Return the pixels per inch, across and down."""
    inches = _INCHES.get(_value(page, _RESOLUTION_UNIT) or 2)
    given = [_value(page, code) for code in (_X_RESOLUTION, _Y_RESOLUTION)]
    if inches is None or not all(isinstance(one, tuple) and len(one) == 2 and one[0] and one[1] for one in given):
        return None
    across, down = (numerator / denominator * inches for numerator, denominator in given)
    return across, down


def _nodata_of(page: TiffPage) -> float | None:
    """Return the value that means nothing, if there is one."""
    try:
        return float(str(_value(page, NODATA)).strip("\0 "))
    except ValueError:
        return None


def cmyk_to_rgb(values: NDArray[Any], profile: bytes) -> NDArray[Any]:
    """Convert 8-bit CMYK ``(H, W, 4)`` to RGB ``(H, W, 3)``, by its profile or else as Pillow does."""
    rgb = to_srgb(values, profile)
    return rgb if rgb.shape[-1] == 3 else np.asarray(Image.fromarray(values, "CMYK").convert("RGB"))


def _check_kind(page: TiffPage, name: str) -> None:
    """Refuse samples that are no grey and no colours that can be told."""
    kind, bits, samples = page.photometric, page.bitspersample, page.samplesperpixel
    words = getattr(kind, "name", kind)
    if page.dtype is None or page.dtype.kind not in "buif" or not isinstance(bits, int):
        raise FusionLabError(
            f"The image {name} holds samples of {bits} bits in the format {page.sampleformat}: store it with 8 or 16."
        )
    if page.imagedepth > 1:
        raise FusionLabError(f"The image {name} is a volume, {page.imagedepth} images deep: store them one by one.")
    if kind in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.SEPARATED) and bits != 8 and not _is_jpeg(page):
        raise FusionLabError(f"The image {name} holds {bits}-bit {words} colours: store it as RGB.")
    if kind == PHOTOMETRIC.SEPARATED and _value(page, _INK_SET) not in (None, 1):
        raise FusionLabError(f"The image {name} holds inks other than CMYK: store it as RGB.")
    colours = _COLOURS.get(kind)
    if colours is None:
        raise FusionLabError(f"The image {name} holds {words} samples, which are no grey or RGB: store it as RGB.")
    extra = samples - colours
    told = tuple(page.extrasamples)
    declared = bool(told) and told[0] in (*_ALPHA, _ADOBE_ALPHA)
    # Pillow takes one further sample of which nothing is said for alpha, and leaves it out where it is said to be none.
    fits = extra == 0 or (extra == 1 and (declared or not told or colours == 3 or kind == PHOTOMETRIC.PALETTE))
    if not fits or (extra > 0 and kind in (PHOTOMETRIC.CIELAB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.SEPARATED)):
        raise FusionLabError(
            f"The image {name} holds {samples} samples a pixel ({words}), which are no grey or RGB: give one of them, "
            "or store it as RGB."
        )


def _samples(page: TiffPage, name: str) -> tuple[NDArray[Any], NDArray[Any] | None, int | None]:
    """Return grey or RGB values, alpha if there is some, and the value of white."""
    samples, white = page.samplesperpixel, white_of(page)
    bands = page.asarray()
    if page.axes.startswith("S"):
        bands = np.moveaxis(bands, 0, -1)
    bands = bands.reshape(page.imagelength, page.imagewidth, samples)
    bands = np.ascontiguousarray(bands.astype(bands.dtype.newbyteorder("="), copy=False))
    if bands.dtype == np.bool_:
        bands = bands.astype(np.uint8)
    count = _COLOURS[page.photometric]
    told = page.extrasamples
    values = bands[..., :count]
    has_alpha = samples > count and (not told or told[0] in (*_ALPHA, _ADOBE_ALPHA))
    alpha = bands[..., count] if has_alpha else None
    if alpha is not None and told and told[0] == EXTRASAMPLE.ASSOCALPHA:
        values = _without_alpha(values, alpha, white, name)
    if page.photometric == PHOTOMETRIC.PALETTE:
        values, levels = _colours(page, values[..., 0], name)
        if alpha is not None and white is not None and white != levels:
            kind = np.uint8 if levels == 0xFF else np.uint16
            alpha = ((alpha.astype(np.uint64) * levels + white // 2) // white).astype(kind)
        return values, alpha, levels
    return (values[..., 0] if count == 1 else values), alpha, white


def _colours(page: TiffPage, indices: NDArray[Any], name: str) -> tuple[NDArray[Any], int]:
    """Look up the colours of a palette; they have 16 bits only where 8 would not tell them."""
    if page.colormap is None or indices.max() >= page.colormap.shape[1]:
        raise FusionLabError(f"The image {name} has a palette that lacks colours: store it as RGB.")
    palette = page.colormap.T
    high, low = palette >> 8, palette & 0xFF
    # Some old programs write levels of 8 bits.
    if not high.any():
        return low.astype(np.uint8)[indices], 0xFF
    if (low == 0).all() or (low == high).all():
        return high.astype(np.uint8)[indices], 0xFF
    return palette.astype(np.uint16)[indices], 0xFFFF


def _without_alpha(values: NDArray[Any], alpha: NDArray[Any], white: int | None, name: str) -> NDArray[Any]:
    """Take out the alpha that colours were multiplied by, as Pillow does."""
    if white is None:
        raise FusionLabError(f"The image {name} holds {values.dtype} values times alpha: store it without alpha.")
    share = alpha[..., None].astype(np.uint64)
    plain = np.minimum(values.astype(np.uint64) * white // np.maximum(share, 1), white)
    return np.where(share == 0, values, plain).astype(values.dtype)


def _needs_libtiff(page: TiffPage) -> bool:
    """Tell what only Pillow's libtiff turns into colours: YCbCr that is no JPEG, and Lab."""
    return page.photometric == PHOTOMETRIC.CIELAB or (page.photometric == PHOTOMETRIC.YCBCR and not _is_jpeg(page))


def _by_libtiff(data: bytes, page: TiffPage, name: str, frames: int) -> StoredImage:
    with Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        # Pillow turns TIFF files itself while it loads them.
        image.seek(page.index)
        rgb = np.asarray(image.convert("RGB"))
    tags = geotags_of(page) if _value(page, _ORIENTATION) in (None, 1) else ()
    return StoredImage(name, rgb, white=0xFF, geotags=tags, resolution=resolution_of(page), frames=frames)


def _frames_of(file: TiffFile) -> int:
    """Count images that have no page of their own, as in the stacks of ImageJ."""
    try:
        series = file.series[0]
    # What other programs have noted may be senseless, and the pixels sound.
    except Exception:
        return 1
    return math.prod(series.shape) // max(1, math.prod(series.keyframe.shape))


def _is_jpeg(page: TiffPage) -> bool:
    return page.compression in _JPEG


def _profile(page: TiffPage) -> bytes:
    profile = _value(page, _ICC_PROFILE)
    return bytes(profile) if isinstance(profile, bytes) else b""


def _value(page: TiffPage, code: int) -> Any:
    return page.tags[code].value if code in page.tags else None
