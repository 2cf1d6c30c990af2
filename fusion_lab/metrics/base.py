"""What every fusion metric shares: the interface, the accepted images and the mean over a data set.

Each family of metrics is one file. It holds, for every metric, a pure function from images to one value per
image, and a `FusionMetric` that adds the label, the direction and the mean over a data set.

Grey images are scored as they are. Of colour images each channel is scored as an image, as VIFB and MEFB do, and the
value of the image is the mean over its channels (`each_channel`); who wants the grey conversion of a program instead
finds it in `fusion_lab.metrics.protocols`.

Where a formula is 0/0 (a correlation with a constant image, the edges of black sources), the value is 0 unless the
metric says otherwise: nothing was there to be carried over. The field's programs give NaN, which would spoil the mean.
"""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, ParamSpec, get_args

import torch
from torch import Tensor
from torchmetrics import Metric

from fusion_lab.errors import FusionLabError

P = ParamSpec("P")


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


def check_shapes(**images: Tensor) -> None:
    """Refuse images that no metric can take, by their names.

    Args:
        images: The images of one call, each ``(B, 1, H, W)`` or ``(B, 3, H, W)``.

    Raises:
        FusionLabError: Another shape, no image, or different sizes.
    """
    sizes = {}
    for name, image in images.items():
        if image.ndim != 4 or image.shape[1] not in (1, 3) or len(image) == 0:
            raise FusionLabError(
                f"A metric takes images of shape (B, 1, H, W) or (B, 3, H, W), but `{name}` has shape "
                f"{tuple(image.shape)}: pass grey levels or RGB."
            )
        sizes[name] = (len(image), *image.shape[2:])
    first, *others = sizes
    for name in others:
        if sizes[name] != sizes[first]:
            raise FusionLabError(
                f"A metric takes images of one size, but `{first}` has shape {tuple(images[first].shape)} and "
                f"`{name}` has shape {tuple(images[name].shape)}: crop or resize them first."
            )


def check_levels(**images: Tensor) -> None:
    """Refuse images that hold anything but integers from 0 to 255, by their names.

    Args:
        images: The images of one call, of any shape.

    Raises:
        FusionLabError: Other values.
    """
    for name, image in images.items():
        # What is no integer of 0..255 does not come back from 8 bits as it was.
        if image.dtype != torch.uint8 and not torch.equal(image.byte().to(image.dtype), image):
            raise FusionLabError(
                f"A metric takes integers from 0 to 255, but `{name}` holds other values: "
                "pass `quantise(image)` for an image in [0, 1]."
            )


def each_channel(metric: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let a function for grey images score colour: each channel as an image, then the mean over the channels.

    Where some images of a call have three channels and others one, the one is compared with each of the three.
    """
    parameters = inspect.signature(metric)

    @wraps(metric)
    def scored(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        call = parameters.bind(*args, **kwargs)
        images = {name: value for name, value in call.arguments.items() if isinstance(value, Tensor)}
        check_shapes(**images)
        if all(image.shape[1] == 1 for image in images.values()):
            return metric(*args, **kwargs)
        for name, image in images.items():
            call.arguments[name] = image.expand(-1, 3, -1, -1).flatten(0, 1)[:, None]
        return metric(*call.args, **call.kwargs).view(-1, 3).mean(1)

    return scored


def grey_levels(*images: Tensor, minimum_side: int = 1) -> list[Tensor]:
    """Check the images of one call and prepare them for arithmetic.

    Args:
        images: ``fused`` alone or ``fused, source_a, source_b``, each ``(B, 1, H, W)`` with integers 0..255.
        minimum_side: The smallest height and width for which the metric is defined, in pixels.

    Returns:
        The images as ``(B, H, W)``, in float32 if all are float32 (or of half precision), otherwise in float64.

    Raises:
        FusionLabError: A wrong shape, different sizes, too small a side, or other values than 0..255.
    """
    named = dict(zip(("fused", "source_a", "source_b"), images, strict=False))
    check_shapes(**named)
    height, width = images[0].shape[2:]
    if min(height, width) < minimum_side:
        raise FusionLabError(
            f"This metric needs at least {minimum_side} pixels a side, but the images have {height} x {width}: "
            "leave the metric out or use larger images."
        )
    for name, image in named.items():
        if image.shape[1] != 1:
            raise FusionLabError(f"This metric takes grey images only, but `{name}` has {image.shape[1]} channels.")
    check_levels(**named)
    single = all(image.is_floating_point() and image.dtype != torch.float64 for image in images)
    return [image[:, 0].to(torch.float32 if single else torch.float64) for image in images]


def check_choice(name: str, value: str, choices: Any) -> None:
    """Refuse a value that is none of a ``Literal``.

    Raises:
        FusionLabError: Another value; the choices are named.
    """
    if value not in get_args(choices):
        allowed = " or ".join(f'"{choice}"' for choice in get_args(choices))
        raise FusionLabError(f'Parameter `{name}` should be {allowed}. Found `{name} = "{value}"`.')


def ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, with 0 where the denominator is 0."""
    return torch.where(denominator == 0, 0, numerator / denominator)


class MeanOverImages(Metric):
    """The mean of a per-image value over all images seen, on all processes.

    Every image counts the same, whatever its size and batch, as in the published tables.

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

    def add(self, values: Tensor) -> None:
        """Take in the values ``(B,)`` of a batch."""
        self.sum += values.double().sum()
        self.count += values.numel()

    def compute(self) -> Tensor:
        """Return the mean over all images, a float64 scalar.

        Raises:
            FusionLabError: No image was seen.
        """
        if self.count == 0:
            raise FusionLabError(f"The metric {self.label} has seen no image: call update() first.")
        return self.sum / self.count


class FusionMetric(MeanOverImages):
    """What a fused image has of its sources, or by itself.

    A subclass sets `label` and ``higher_is_better`` and gives `score`.

    Args:
        options: Options of ``torchmetrics.Metric``, such as ``sync_on_compute``.
    """

    @abstractmethod
    def score(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Return the value of each image.

        Args:
            fused: The fused images, ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255 in floating point or uint8.
            source_a: The first sources, like ``fused``; one channel is compared with each of three.
            source_b: The second sources, like ``source_a``.

        Returns:
            ``(B,)``, in float32 if all images are float32 (or of half precision), otherwise in float64.

        Raises:
            FusionLabError: Images that `grey_levels` refuses.
        """

    def update(self, fused: Tensor, source_a: Tensor, source_b: Tensor) -> None:
        """Add a batch; the images are those of `score`."""
        # A metric of the fused image alone looks at no source, yet a wrong call should not pass unnoticed.
        check_shapes(fused=fused, source_a=source_a, source_b=source_b)
        check_levels(fused=fused, source_a=source_a, source_b=source_b)
        self.add(self.score(fused, source_a, source_b))
