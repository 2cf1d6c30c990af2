"""Images and maps side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES_HIGH = 2.0
_TITLE = 0.3
_GAP = 0.06
_PERCENTILES = (1, 99)


def picture_grid(rows: Sequence[Mapping[str, npt.NDArray[Any]]], colours: str = "viridis") -> "Figure":
    """Draw rows of images and maps, each under its title.

    Args:
        rows: By title, images in uint8 or uint16, ``(H, W)`` or ``(H, W, 3)``, shown as they are; or maps ``(H, W)`` of
            floating-point numbers, whose colours go from the 1st to the 99th percentile of each map alone. Those of
            one row have one size.
        colours: The colour map of matplotlib for maps.
    """
    # matplotlib takes half a second to load, and its pyplot keeps figures alive: figures are made without it.
    from matplotlib.figure import Figure

    shapes = [next(iter(images.values())).shape for images in rows]
    widths = [_INCHES_HIGH * width / height for height, width, *_ in shapes]
    wide = max(len(images) * (own + _GAP) for images, own in zip(rows, widths, strict=True)) + _GAP
    high = len(rows) * (_INCHES_HIGH + _TITLE + _GAP)
    figure = Figure((wide, high))
    for number, (images, own) in enumerate(zip(rows, widths, strict=True)):
        bottom = (len(rows) - 1 - number) * (_INCHES_HIGH + _TITLE + _GAP) + _GAP
        for column, (title, image) in enumerate(images.items()):
            place = (_GAP + column * (own + _GAP)) / wide, bottom / high, own / wide, _INCHES_HIGH / high
            axis = figure.add_axes(place)
            if np.issubdtype(image.dtype, np.floating):
                low, top = np.percentile(image, _PERCENTILES)
                axis.imshow(image, cmap=colours, vmin=low, vmax=top)
            else:
                axis.imshow(image / np.iinfo(image.dtype).max, cmap="gray", vmin=0, vmax=1)
            axis.set_title(title, fontsize=9, pad=4)
            axis.set_axis_off()
    return figure
