"""Focus maps whose edges are edges of the scene."""

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.measure import label
from skimage.segmentation import felzenszwalb

from fusion_lab.data.focus_maps.base import NEAR_SHARES, FocusMap, soft_step
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.defocus import smooth_depth

_SCALE = 100
"""Preference of the segmentation for large segments."""
_SMALLEST = 0.02
"""Of an image, the part that is the smallest segment: more than the rim that blurred edges are cut into."""
_CONTRAST = 0.25
"""Standard deviation that all images are brought to before they are segmented."""
_LEAST_CONTRAST = 1e-3
_SMOOTHING = 1.5
"""Standard deviation in pixels of the Gaussian that takes the steps out of the edges."""
_EDGE = 0.5
"""Part of a smoothed step that becomes the ramp of an edge: two pixels."""


class SegmentMap(FocusMap):
    """Whole segments are near or far: what an invented depth makes the nearest of them.

    The segments are those of the image, by Felzenszwalb & Huttenlocher, "Efficient graph-based image segmentation",
    IJCV 2004, found at half the resolution; or connected pieces of one label.

    Args:
        labels: Where the labels of each pair are, as images with one level or colour for each class (such as MSRS's);
            a path or pattern as in `PairDataset`. Unless given, the image is segmented.
    """

    def __init__(self, labels: str | None = None) -> None:
        self.labels = labels

    @property
    def companions(self) -> dict[str, str]:
        """The label images, if there are any."""
        return {"labels": self.labels} if self.labels else {}

    def draw(
        self, clear: NDArray[np.float32], companions: dict[str, Picture], generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """Draw a map ``(H, W)`` in [0, 1] for an image ``(H, W, 3)``; one segment alone is all near."""
        segments = _pieces(companions["labels"]) if self.labels else _segments(clear)
        near = _nearest(segments, smooth_depth(clear.shape[:2], generator), generator.uniform(*NEAR_SHARES))
        return soft_step(np.asarray(cv2.GaussianBlur(near, (0, 0), _SMOOTHING), np.float32), 0.5, _EDGE)


def _segments(clear: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the number of each pixel's segment, ``(H, W)``, from 0."""
    height, width = clear.shape[:2]
    half = cv2.resize(clear, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    # A scene in the dark has as many segments as one by day.
    half = half * (_CONTRAST / max(float(half.std()), _LEAST_CONTRAST))
    smallest = int(_SMALLEST * half.shape[0] * half.shape[1])
    found = felzenszwalb(half, scale=_SCALE, sigma=0.5, min_size=smallest).astype(np.float32)
    return cv2.resize(found, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)


def _pieces(labels: Picture) -> NDArray[np.int64]:
    """Return the number of each pixel's connected piece of one label, ``(H, W)``, from 0."""
    bands = np.atleast_3d(labels.pixels).astype(np.int64)
    joined = bands @ (labels.levels + 1) ** np.arange(bands.shape[-1])
    return np.asarray(label(joined, connectivity=1, background=-1) - 1, np.int64)


def _nearest(segments: NDArray[np.int64], depth: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return 1 on the nearest segments, which cover about ``share`` but leave one segment far, and else 0."""
    pixels = np.bincount(segments.ravel())
    depths = np.bincount(segments.ravel(), depth.ravel()) / np.maximum(pixels, 1)
    order = np.argsort(np.where(pixels > 0, depths, np.inf), kind="stable")[: np.count_nonzero(pixels)]
    covered = np.cumsum(pixels[order]) / depth.size
    count = 1 + int(np.abs(covered - share)[: max(1, len(order) - 1)].argmin())
    near = np.zeros(len(pixels), np.float32)
    near[order[:count]] = 1
    return near[segments]
