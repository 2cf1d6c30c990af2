"""IPA, the interaction-enhanced pixel attention of TITA."""

import torch
from torch import Tensor

from fusion_lab.networks.attention.pixel import PixelAttention


class IPA(PixelAttention):
    """Interaction-enhanced pixel attention (TITA, ICCV 2025).

    Keys ``N1 + X - X phi`` (self) and ``N2 + X + X phi`` (cross), values X (self) and the other stream (cross), with
    ``phi`` the relation score of the two. Both keys come from the asking stream; no noise touches the values.

    The paper writes the same N1 and N2 for both directions; the official code learns them for each.
    """

    def keys_and_values(
        self, own: Tensor, other: Tensor, score: Tensor, noise1: Tensor, noise2: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the keys and values of `PixelAttention.keys_and_values`."""
        scored = own * score
        return (noise1 + own - scored, noise2 + own + scored), (own, other)

    def key_difference_and_values(
        self, own: Tensor, other: Tensor, score: Tensor, noise1: Tensor, noise2: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the difference ``N2 - N1 + 2 X phi`` of the keys, and the values."""
        return torch.addcmul(noise2 - noise1, own, score, value=2), (own, other)
