"""What a loss term promises, and their weighted sum."""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

from torch import Tensor, nn

from fusion_lab.errors import FusionLabError
from fusion_lab.types import Sample


class LossTerm(nn.Module, ABC):
    """One term of an objective.

    Args:
        weight: Factor of the term in the objective.
    """

    needs_target: ClassVar[bool] = False
    """Whether the term compares with the ideal image: pairs without one cannot be trained on, nor validated with it."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def prepare(self) -> None:
        """Fetch what the term needs before training begins, such as the weights of another network."""

    @abstractmethod
    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the unweighted loss, a scalar, of ``fused`` ``(B, 1, H, W)`` for the sources of ``sample``."""


class Objective(nn.Module):
    """The weighted sum of named loss terms.

    Args:
        terms: The terms by the name under which they are logged.
    """

    def __init__(self, terms: dict[str, LossTerm]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)

    @property
    def needs_target(self) -> bool:
        """Whether any term compares with the ideal image."""
        return any(cast(LossTerm, term).needs_target for term in self.terms.values())

    def prepare(self) -> None:
        """Prepare every term."""
        for term in self.terms.values():
            cast(LossTerm, term).prepare()

    def forward(self, fused: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Compute each weighted term, a scalar; their sum is the loss of the task.

        Raises:
            FusionLabError: A term compares with the ideal image, and the sample has none.
        """
        if self.needs_target and "target" not in sample:
            wanting = ", ".join(name for name, term in self.terms.items() if cast(LossTerm, term).needs_target)
            raise FusionLabError(
                f"The loss `{wanting}` compares with the ideal image, but {sample['file_a'][0]} has none: set `target` "
                "of its data set, make pairs from sharp images (`fusion-lab data make-focus`), or choose another loss."
            )
        return {name: term.weight * term(fused, sample) for name, term in self.terms.items()}
