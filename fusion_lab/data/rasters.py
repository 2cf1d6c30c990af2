"""Images of any number of spectral bands, as satellites deliver them: read from and written to TIFF."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile import EXTRASAMPLE, PHOTOMETRIC, TiffFile, TiffPage

from fusion_lab.data.images import read_picture
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path

TIFF_SUFFIXES = frozenset({".tif", ".tiff"})
_TYPES = ("uint8", "uint16", "float32")
# ModelPixelScale, ModelTiepoint, ModelTransformation, the three GeoKey tags, and RPCCoefficient.
_GEOTIFF_TAGS = (33550, 33922, 34264, 34735, 34736, 34737, 50844)
_ALPHA = (EXTRASAMPLE.ASSOCALPHA, EXTRASAMPLE.UNASSALPHA)
_THREE_COLOURS = (PHOTOMETRIC.RGB, PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB, PHOTOMETRIC.ICCLAB, PHOTOMETRIC.ITULAB)


@dataclass(frozen=True)
class Raster:
    """One image of several bands.

    Attributes:
        values: ``(H, W, N)``, uint8, uint16 or float32; none is negative, infinite or undefined.
        geotags: Where on Earth it lies: the GeoTIFF tags, as ``extratags`` of tifffile.
    """

    values: NDArray[Any]
    geotags: tuple[tuple[Any, ...], ...] = ()

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

    Args:
        path: The file. What is no TIFF has the bands grey or red, green, blue, and then alpha.

    Raises:
        FusionLabError: The file is missing, broken or no image, its levels are of another type than those of `Raster`,
            or some are negative, infinite or undefined.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        picture = read_picture(path)
        return Raster(np.dstack([picture.pixels, *([] if picture.alpha is None else [picture.alpha])]))
    # Arbitrary bytes make the reader fail in arbitrary ways.
    try:
        with TiffFile(path) as file:
            series = file.series[0]
            values, axes, geotags = series.asarray(), series.axes, _geotags(file.pages.first)
    except Exception as error:
        raise FusionLabError(_complaint(path, " ".join(str(error).split())[:200])) from None
    if values.ndim == 2:
        values = values[..., None]
    elif values.ndim == 3 and axes.endswith("YX"):
        values = np.moveaxis(values, 0, -1)
    if values.ndim != 3 or not values.size:
        raise FusionLabError(f"The image {path} has the shape {values.shape}: store one image of any number of bands.")
    if values.dtype.name not in _TYPES:
        raise FusionLabError(f"The image {path} holds {values.dtype}: store it as {', '.join(_TYPES)}.")
    # Written so that NaN fails too.
    if not (values.min() >= 0 and values.max() < np.inf):
        raise FusionLabError(
            f"The image {path} has values from {values.min():g} to {values.max():g}: "
            "fill what is undefined and shift the rest to 0 or more."
        )
    return Raster(values.astype(values.dtype.newbyteorder("=")), geotags)


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


def _geotags(page: TiffPage) -> tuple[tuple[Any, ...], ...]:
    tags = [page.tags[code] for code in _GEOTIFF_TAGS if code in page.tags]
    return tuple((tag.code, tag.dtype, tag.count, tag.value, True) for tag in tags)


def _complaint(path: Path, reason: str) -> str:
    if "imagecodecs" in reason:
        return f"The image {path} is compressed ({reason}): install it with pip, or store the image with Deflate."
    return f"The image {path} is broken or no TIFF ({reason}): replace the file."
