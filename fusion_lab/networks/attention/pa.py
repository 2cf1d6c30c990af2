"""PA, the pixel attention of GeminiFusion."""

from torch import Tensor

from fusion_lab.networks.attention.pixel import PixelAttention


class PA(PixelAttention):
    """Pixel attention as GeminiFusion has it, which IPA modifies (Jia et al., ICML 2024).

    Keys ``N1 + X`` (self) and ``X phi`` (cross), values ``N2 + X`` (self) and the other stream (cross), with ``phi``
    the relation score of the two: the second offset goes to the values, where IPA has it in the keys.

    GeminiFusion projects the output of the preceding self-attention after its pixel attention; here, as in TITA, the
    projection of the window attention comes before.
    """

    def keys_and_values(
        self, own: Tensor, other: Tensor, score: Tensor, noise1: Tensor, noise2: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the keys and values of `PixelAttention.keys_and_values`."""
        return (noise1 + own, own * score), (noise2 + own, other)
