"""What a measure of information promises."""

from abc import ABC, abstractmethod

import torch
from kornia.filters import filter2d
from torch import Tensor, nn


class Information(nn.Module, ABC):
    """Weighs two sources by how much they have to tell."""

    def prepare(self) -> None:
        """Fetch what the measure needs before training begins."""

    @abstractmethod
    def forward(self, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the weights of both sources, scalars of sum 1 for the whole batch.

        Args:
            source_a: Luminance of the first source, ``(B, 1, H, W)`` in [0, 1].
            source_b: Luminance of the second source, ``(B, 1, H, W)`` in [0, 1].
        """


class MeasuredInformation(Information):
    """Weights by the softmax of the mean information of either source (GIFNet, equation 9).

    The mean is taken over the batch of one process before the softmax, as in the release.
    """

    @abstractmethod
    def measure(self, images: Tensor) -> Tensor:
        """Compute the information ``(B,)`` of images ``(B, 1, H, W)`` in [0, 1]."""

    @torch.no_grad()
    def forward(self, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the weights of both sources, scalars of sum 1."""
        measured = self.measure(torch.cat([source_a, source_b])).unflatten(0, (2, -1)).mean(dim=1)
        weight_a, weight_b = measured.softmax(dim=0)
        return weight_a, weight_b


def squared_response(maps: Tensor) -> Tensor:
    """Compute the mean squared difference of each point from its eight neighbours, ``(B,)`` of ``(B, C, H, W)``.

    As in GIFNet's release, one kernel goes over the sum of all channels: what the paper calls the gradient of the
    features. The border is mirrored, and repeated where there is but one row or column.
    """
    kernel = maps.new_full((1, 3, 3), 1 / 8)
    kernel[:, 1, 1] = -1
    border = "reflect" if min(maps.shape[-2:]) > 1 else "replicate"
    response = filter2d(maps.sum(dim=1, keepdim=True), kernel, border_type=border)
    return response.square().mean(dim=(1, 2, 3))
