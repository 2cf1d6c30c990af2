"""The words that every part of the project shares.

Shapes: B batch, C channels, H height, W width for maps ``(B, C, H, W)``; N tokens, D features for tokens
``(B, N, D)``. Networks see luminance ``(B, 1, H, W)`` in [0, 1]. Tasks are named as the field names them: ``ivf``
(infrared-visible), ``mff`` (multi-focus), ``mef`` (multi-exposure), ``mif`` (medical), ``nir`` (near infrared),
``pan`` (pansharpening).
"""

from typing import NotRequired, TypedDict

from torch import Tensor


class Sample(TypedDict):
    """One pair of sources, or a collated batch of them."""

    source_a: Tensor
    """Luminance of the first source, ``(B, 1, H, W)`` in [0, 1]."""
    source_b: Tensor
    """Luminance of the second source, ``(B, 1, H, W)`` in [0, 1]."""
    name: list[str]
    """The name of each pair."""
    file_a: list[str]
    """The file of each first source."""
    file_b: list[str]
    """The file of each second source."""
    range_a: NotRequired[list[str]]
    """Which values of each first source are black and white, as `InputRange` reads it, where not all are."""
    range_b: NotRequired[list[str]]
    """Which values of each second source are."""
    target: NotRequired[Tensor]
    """The ideal fused luminance where it is known (all in focus), ``(B, 1, H, W)`` in [0, 1]."""


Batch = dict[str, Sample]
"""One sample batch for each task: ``{"ivf": Sample, "mff": Sample, ...}``."""
