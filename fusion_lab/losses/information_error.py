"""The squared error to either source, weighed by information."""

from torch import Tensor
from torch.nn import functional as F

from fusion_lab.losses.base import LossTerm
from fusion_lab.losses.information import DenseNetInformation, Information
from fusion_lab.types import Sample


class InformationError(LossTerm):
    """``w_A MSE(F, A) + w_B MSE(F, B)`` (GIFNet, equation 10).

    Args:
        information: What gives the weights; the gradients of DenseNet121's features unless given.
        weight: Factor of the term in the objective.
    """

    def __init__(self, information: Information | None = None, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.information = information or DenseNetInformation()

    def prepare(self) -> None:
        """Prepare the measure."""
        self.information.prepare()

    def forward(self, fused: Tensor, sample: Sample) -> Tensor:
        """Compute the loss, a scalar, of ``fused`` ``(B, 1, H, W)``."""
        a, b = sample["source_a"], sample["source_b"]
        weight_a, weight_b = self.information(a, b)
        return weight_a * F.mse_loss(fused, a) + weight_b * F.mse_loss(fused, b)
