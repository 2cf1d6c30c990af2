"""Images and maps side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES_HIGH = 2.0
_PERCENTILES = (1, 99)


def picture_row(images: Mapping[str, npt.NDArray[Any]], colours: str = "viridis") -> "Figure":
    """Draw images and maps of the same size in one row, each under its title.

    Args:
        images: By title, images in uint8 or uint16, ``(H, W)`` or ``(H, W, 3)``, shown as they are; or maps ``(H, W)``
            of floating-point numbers, whose colours go from the 1st to the 99th percentile of each map alone.
        colours: The colour map of matplotlib for maps.
    """
    # matplotlib takes half a second to load, and its pyplot keeps figures alive: figures are made without it.
    from matplotlib.figure import Figure

    height, width = next(iter(images.values())).shape[:2]
    wide, top, gap = _INCHES_HIGH * width / height, 0.3, 0.06
    size = (len(images) * (wide + gap) + gap, _INCHES_HIGH + top + gap)
    figure = Figure(size)
    for column, (title, image) in enumerate(images.items()):
        place = (gap + column * (wide + gap)) / size[0], gap / size[1], wide / size[0], _INCHES_HIGH / size[1]
        axis = figure.add_axes(place)
        if np.issubdtype(image.dtype, np.floating):
            low, high = np.percentile(image, _PERCENTILES)
            axis.imshow(image, cmap=colours, vmin=low, vmax=high)
        else:
            axis.imshow(image / np.iinfo(image.dtype).max, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=9, pad=4)
        axis.set_axis_off()
    return figure
