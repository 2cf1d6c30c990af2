"""Information that is given."""

from torch import Tensor

from fusion_lab.errors import FusionLabError
from fusion_lab.losses.information.base import Information


class FixedInformation(Information):
    """The same weights for all pairs.

    Args:
        share: Weight of the first source in [0, 1]; the second one has the rest.
    """

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise FusionLabError(f"`share` should be in [0, 1]. Found `share = {share}`.")
        self.share = share

    def forward(self, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the weights of both sources, scalars of sum 1."""
        weight = source_a.new_full((), self.share)
        return weight, 1 - weight
