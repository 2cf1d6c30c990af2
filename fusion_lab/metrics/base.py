"""What every fusion metric shares: the interface, the accepted images and the mean over a data set.

Each family of metrics is one file. It holds, for every metric, a pure function from images to one value per
image, and a `FusionMetric` that adds the label, the direction and the mean over a data set.

Where a formula is 0/0 (a correlation with a constant image, the edges of black sources), the value is 0:
nothing was there to be carried over. The field's programs give NaN, which would spoil the mean.
"""

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric

from fusion_lab.errors import FusionLabError


def quantise(image: Tensor) -> Tensor:
    """Turn a network's output into the grey levels of an 8-bit file: ``floor(clamp(255 x, 0, 255) + 0.5)``.

    Args:
        image: Values in [0, 1], any shape, floating point; what leaves the range is clamped.

    Returns:
        Integers 0..255 in floating point, same shape, at least float32.
    """
    # In bfloat16 already 255 + 0.5 is 256.
    image = image.to(torch.promote_types(image.dtype, torch.float32))
    return torch.floor(torch.clamp(255 * image, 0, 255) + 0.5)


def grey_levels(*images: Tensor, minimum_side: int = 1) -> list[Tensor]:
    """Check the images of one call and prepare them for arithmetic.

    Args:
        images: ``fused`` alone or ``fused, source_a, source_b``, each ``(B, 1, H, W)`` with integers 0..255.
        minimum_side: The smallest height and width for which the metric is defined, in pixels.

    Returns:
        The images as ``(B, H, W)`` in float64.

    Raises:
        FusionLabError: A wrong shape, different sizes, too small a side, or other values than 0..255.
    """
    prepared = []
    for name, image in zip(("fused", "source_a", "source_b"), images, strict=False):
        if image.ndim != 4 or image.shape[1] != 1:
            raise FusionLabError(
                f"A metric takes images of shape (B, 1, H, W), but `{name}` has shape {tuple(image.shape)}: "
                "pass luminance, or each colour channel as an image of the batch."
            )
        if image.shape != images[0].shape:
            raise FusionLabError(
                f"A metric takes images of one size, but `fused` has shape {tuple(images[0].shape)} and "
                f"`{name}` has shape {tuple(image.shape)}: crop or resize them first."
            )
        if min(image.shape[2:]) < minimum_side:
            raise FusionLabError(
                f"This metric needs at least {minimum_side} pixels a side, but `{name}` has shape "
                f"{tuple(image.shape)}: leave the metric out or use larger images."
            )
        level = image[:, 0].double()
        if not ((level == level.floor()) & (level >= 0) & (level <= 255)).all():
            raise FusionLabError(
                f"A metric takes integers from 0 to 255, but `{name}` holds other values: "
                "pass `quantise(image)` for an image in [0, 1]."
            )
        prepared.append(level)
    return prepared


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, with 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0, numerator / denominator)


class FusionMetric(Metric):
    """The mean of a per-image value over all images seen, on all processes.

    A subclass sets `label` and ``higher_is_better`` and gives `score`. Every image counts the same, whatever
    its size and batch, as in the published tables.

    Args:
        options: Options of ``torchmetrics.Metric``, such as ``sync_on_compute``.
    """

    label: ClassVar[str]
    """The short name in the tables of the field, such as ``"EN"``."""
    higher_is_better: bool
    is_differentiable = False
    full_state_update = False

    sum: Tensor
    count: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("sum", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @abstractmethod
    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Give the value of each image.

        Args:
            fused: The fused images, ``(B, 1, H, W)``, integers 0..255 in floating point or uint8.
            source_a: The first sources, like ``fused``.
            source_b: The second sources, like ``fused``.

        Returns:
            ``(B,)`` in float64.

        Raises:
            FusionLabError: Images that `grey_levels` refuses.
        """

    def update(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> None:
        """Add a batch; the images are those of `score`."""
        # A metric of the fused image alone looks at no source, yet a wrong call should not pass unnoticed.
        grey_levels(fused, source_a, source_b)
        values = self.score(fused, source_a, source_b)
        self.sum += values.sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Give the mean over all images, a float64 scalar.

        Raises:
            FusionLabError: No image was seen.
        """
        if self.count == 0:
            raise FusionLabError(f"The metric {self.label} has seen no image: call update() first.")
        return self.sum / self.count
