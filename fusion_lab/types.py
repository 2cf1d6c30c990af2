"""The words that every part of the project shares.

Shapes: B batch, C channels, H height, W width for maps ``(B, C, H, W)``; N tokens, D features for tokens
``(B, N, D)``. Networks see luminance ``(B, 1, H, W)`` in [0, 1]. Tasks are named as the field names them: ``ivf``
(infrared-visible), ``mff`` (multi-focus), ``mef`` (multi-exposure), ``mif`` (medical), ``nir`` (near infrared),
``pan`` (pansharpening).
"""

from dataclasses import dataclass, field
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


@dataclass(frozen=True)
class Cost:
    """What one network costs for one pair of images.

    Attributes:
        parameters: How many numbers it learnt.
        flop: Floating-point operations of its products and convolutions, a multiplication and an addition being two.
        other_flop: One operation for each value that an element-wise operation or a reduction makes or reads, which
            papers leave out; networks without products have these alone.
        seconds: Median wall time of a forward pass over the rounds.
        seconds_of_rounds: The time of each round, in the order in which all networks took turns.
        memory: Peak of the memory in bytes that the pass took beside weights and sources.
    """

    parameters: int
    flop: int
    other_flop: int
    seconds: float
    memory: int
    seconds_of_rounds: list[float] = field(repr=False)
