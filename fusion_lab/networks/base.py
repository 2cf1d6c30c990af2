"""What every fusion network promises."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Literal, Self

from torch import Tensor, nn


class FusionNetwork(nn.Module, ABC):
    """Fuse two luminance images.

    A subclass gives ``forward``; its constructor arguments must be plain data or classes, so that a saved network
    can say how it was built (`init_args`).
    """

    test_padding: ClassVar[int] = 0
    """Before a whole image is fused, its sides grow to the next larger multiple of this (0: not at all)."""

    colour_rule: ClassVar[Literal["tita", "gifnet"]] = "tita"
    """The release whose way to take luminance out of colours, and to put them around it, the network is used with."""

    bytes_per_pixel: int = 64
    """Peak memory of a float32 forward pass on a CPU without gradients, in bytes per pixel of one source."""

    init_args: dict[str, Any]
    """The arguments of the constructor, defaults included."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments of the constructor."""
        network = super().__new__(cls)
        # Copying and unpickling give no arguments: they restore `init_args` with the rest of the state.
        arguments = inspect.signature(cls.__init__).bind_partial(network, *args, **kwargs)
        arguments.apply_defaults()
        _, *named = arguments.arguments.items()
        network.__dict__["init_args"] = dict(named)
        return network

    def __init__(self) -> None:
        # For the signature of networks without arguments: that of torch's own module is (*args, **kwargs).
        super().__init__()

    @property
    def description(self) -> dict[str, Any]:
        """How to build this network anew, in plain data: ``class_path`` and ``init_args``, classes as dotted paths."""
        return {"class_path": _dotted(type(self)), "init_args": _plain(self.init_args)}

    @abstractmethod
    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse a batch.

        Args:
            source_a: Luminance of the first source, ``(B, 1, H, W)`` in [0, 1].
            source_b: Luminance of the second source, ``(B, 1, H, W)`` in [0, 1].

        Returns:
            Fused luminance ``(B, 1, H, W)``; it may leave [0, 1] a little.
        """

    def ordered_by(self, source_a: Tensor, source_b: Tensor) -> AbstractContextManager[None]:
        """Treat what is fused meanwhile as this pair where a network sorts its sources, as `TITA` may.

        The frames of a video then do not flicker, and bands do not differ.
        """
        return nullcontext()

    def parts(self) -> dict[str, nn.Module]:
        """Name the parts that a researcher speaks of: to freeze them, to count them, to compare their gradients."""
        return dict(self.named_children())


class ManySourceNetwork(FusionNetwork):
    """Fuse any number of luminance images at once; a subclass gives ``fuse_all``."""

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` to ``(B, 1, H, W)``."""
        return self.fuse_all([source_a, source_b])

    @abstractmethod
    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse two or more sources ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``; their order does not matter."""


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _plain(value: Any) -> Any:
    """Turn classes into dotted paths and tuples into lists, all the way down."""
    if isinstance(value, type):
        return _dotted(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
