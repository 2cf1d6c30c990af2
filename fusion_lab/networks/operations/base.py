"""What every operation branch of OAF promises."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn


class Operation(nn.Module, ABC):
    """Change a map by an operand that is generated from the map itself.

    Variants without other parameters may share a ``parameter_name``, so that each loads the weights of the other.

    Args:
        dim: Channels C of the map.
        operand_dim: Channels of the operand; as many as the map has unless given.
    """

    parameter_name: ClassVar[str]
    """The name of the branch in a state dict; that of the class unless given."""

    label: ClassVar[str]
    """What tables and pictures call the branch; the name of the class unless given."""

    halo: ClassVar[int | None] = None
    """How many pixels around a pixel its result depends on; None for any number: the branch then gets whole maps.

    Each subclass says it anew.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("parameter_name", "label"):
            if name not in vars(cls):
                setattr(cls, name, cls.__name__)
        # A subclass may look further than its parent.
        cls.halo = vars(cls).get("halo")

    def __init__(self, dim: int, operand_dim: int | None = None) -> None:
        super().__init__()
        self.generator = nn.Conv2d(dim, operand_dim or dim, 3, padding=1)

    @abstractmethod
    def forward(self, x: Tensor, compressed: Tensor) -> Tensor:
        """Apply the operation.

        Args:
            x: The map, ``(B, C, H, W)``.
            compressed: The same map after OAF's 1x1 convolution, ``(B, C, H, W)``: what the operand is made from.

        Returns:
            ``(B, C, H, W)``.
        """
