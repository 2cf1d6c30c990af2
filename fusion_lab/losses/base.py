"""What a loss term promises, and their weighted sum."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from fusion_lab.types import Sample


class LossTerm(nn.Module, ABC):
    """One term of an objective.

    Args:
        weight: Factor of the term in the objective.
    """

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight

    @abstractmethod
    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Give the unweighted loss, a scalar, of ``fused`` ``(B, 1, H, W)`` for the sources of ``sample``."""


class Objective(nn.Module):
    """The weighted sum of named loss terms.

    Args:
        terms: The terms by the name under which they are logged.
    """

    def __init__(self, terms: dict[str, LossTerm]) -> None:
        super().__init__()
        self.terms = nn.ModuleDict(terms)

    def forward(self, fused: Tensor, sample: Sample) -> dict[str, Tensor]:
        """Give each weighted term, a scalar; their sum is the loss of the task."""
        return {name: term.weight * term(fused, sample) for name, term in self.terms.items()}
