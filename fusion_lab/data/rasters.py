"""Images of any number of spectral bands, as satellites deliver them: read from and written to TIFF."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffFile

from fusion_lab.data.images import read_picture
from fusion_lab.data.picture import Tags
from fusion_lab.data.stored_image import to_levels, upright
from fusion_lab.data.tiff import geotags_of, resolution_of, white_of
from fusion_lab.errors import FusionLabError, FusionLabWarning, one_line
from fusion_lab.files import atomic_path

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_TYPES = ("uint8", "uint16", "float32")
# Samples of these are no values until they have become colours.
_ONLY_COLOURS = (PHOTOMETRIC.PALETTE, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB)
_ORIENTATION = 274
_ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
_THREE_COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB)


@dataclass(frozen=True)
class Raster:
    """One image of several bands.

    Attributes:
        values: ``(H, W, N)``, uint8, uint16 or float32; none is negative, infinite or undefined.
        geotags: Where on Earth it lies and which value means nothing, as ``extratags`` of tifffile.
        resolution: Pixels per inch, across and down, where the file tells.
    """

    values: NDArray[Any]
    geotags: Tags = ()
    resolution: tuple[float, float] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def bands(self) -> int:
        """How many bands it has; several equal ones, as of grey stored as RGB, are one."""
        return 1 if (self.values == self.values[..., :1]).all() else self.values.shape[2]


def holds_bands(path: Path) -> bool:
    """Tell whether a file is a TIFF of several bands that are no colours, by its tags alone.

    Colours are grey or RGB with or without a declared alpha, YCbCr, Lab, and palettes. Four samples that are declared
    as CMYK are bands: that is how MATLAB stores them, and so GIFNet's release.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        return False
    # Whoever reads the file tells what is wrong with it.
    try:
        with TiffFile(path) as file:
            page = file.pages.first
            if page.samplesperpixel == 1:
                return len(file.series[0].shape) == 3
    except Exception:
        return False
    colours = 3 if page.photometric in _THREE_COLOURS else 1 if page.photometric != PHOTOMETRIC.SEPARATED else 0
    alpha = len(page.extrasamples) == 1 and page.extrasamples[0] in _ALPHA
    return page.samplesperpixel - alpha != colours


def read_raster(path: Path) -> Raster:
    """Read a TIFF file with all of its bands, in one image or one in each page, or any other image.

    Larger values are brighter, also where the file counts the other way, fewer than 8 bits become 8, and the image is
    upright.

    Args:
        path: The file. What is no TIFF has the bands grey or red, green, blue, and then alpha.

    Raises:
        FusionLabError: The file is missing, broken or no image, its levels are of another type than those of `Raster`,
            or some are negative, infinite or undefined.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        return _of_picture(path)
    # Arbitrary bytes make the reader fail in arbitrary ways.
    try:
        with TiffFile(path) as file:
            series, page = file.series[0], file.pages.first
            if page.photometric in _ONLY_COLOURS:
                return _of_picture(path)
            values, axes, white = series.asarray(), series.axes, white_of(page)
            others = len([one for one in file.series if not one.keyframe.is_reduced]) - 1
            geotags, resolution = geotags_of(page), resolution_of(page)
            orientation = page.tags[_ORIENTATION].value if _ORIENTATION in page.tags else 1
            dark = page.photometric == PHOTOMETRIC.MINISWHITE
    except FusionLabError:
        raise
    except Exception as error:
        reason = one_line(error)
        raise FusionLabError(f"The image {path} is broken or no TIFF ({reason}): replace the file.") from None
    if others > 0:
        warnings.warn(
            f"The image {path} holds {others + 1} images: the first is used, the others are left out.",
            FusionLabWarning,
            stacklevel=2,
        )
    if values.ndim == 2:
        values = values[..., None]
    elif values.ndim == 3 and axes.endswith("YX"):
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or not values.size:
        raise FusionLabError(f"The image {path} has the shape {values.shape}: store one image of any number of bands.")
    if white is not None and white < np.iinfo(np.uint8).max:
        # Nothing tells later that white is less than the largest value of the type.
        values, white = to_levels(values, white), np.iinfo(np.uint8).max
    if values.dtype.name not in _TYPES or (dark and white is None):
        words = f"{values.dtype}, of which zero is white" if dark else values.dtype
        raise FusionLabError(f"The image {path} holds {words}: store it as {', '.join(_TYPES)}.")
    # Written so that NaN fails too.
    if not (values.min() >= 0 and values.max() < np.inf):
        raise FusionLabError(
            f"The image {path} has values from {values.min():g} to {values.max():g}: "
            "fill what is undefined and shift the rest to 0 or more."
        )
    values = values.astype(values.dtype.newbyteorder("="))
    turned = orientation in range(2, 9)
    values = upright(white - values if dark else values, orientation)
    return Raster(values, () if turned else geotags, resolution if not turned else None)


def _of_picture(path: Path) -> Raster:
    picture = read_picture(path)
    bands = np.dstack([picture.pixels, *([] if picture.alpha is None else [picture.alpha])])
    return Raster(bands, picture.geotags, picture.resolution)


def write_raster(raster: Raster, path: Path) -> None:
    """Write a TIFF file of all bands, all at once: an interrupted write leaves nothing.

    Raises:
        FusionLabError: The suffix is no TIFF suffix, or the file cannot be written.
    """
    check_raster_suffix(path)
    single = raster.values.shape[2] == 1
    try:
        with atomic_path(path) as temporary:
            tifffile.imwrite(
                temporary,
                raster.values[..., 0] if single else raster.values,
                photometric="minisblack",
                planarconfig=None if single else "contig",
                metadata=None,
                extratags=raster.geotags,
                resolution=raster.resolution,
                resolutionunit="inch" if raster.resolution else None,
            )
    except OSError as error:
        raise FusionLabError(f"The image {path} cannot be written ({error.strerror}).") from None


def check_raster_suffix(path: Path) -> None:
    """Refuse a file of bands that is no TIFF.

    Raises:
        FusionLabError: The suffix is another one.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        raise FusionLabError(f"The output {path} holds bands, which only TIFF keeps: end it in .tif.")
