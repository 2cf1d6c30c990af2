"""Attention of each pixel on its two sources: the frame that IPA and PA share."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from fusion_lab.networks.layers.linear import linear, multi_layer_perceptron, product


class TwoKeyAttention(nn.Module):
    """Multi-head attention with one query and two keys at each pixel.

    A softmax over two logits is a sigmoid of their difference, so the output is
    ``projection((1 - s) V0 + s V1)`` with ``s = sigmoid(q . (k1 - k0) / sqrt(d))`` per head: the same as
    ``torch.nn.MultiheadAttention`` over sequences of two, for all pixels at once.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = linear(dim, dim)
        self.key = linear(dim, dim)
        self.value = linear(dim, dim)
        self.projection = linear(dim, dim)
        # As torch.nn.MultiheadAttention: Xavier-uniform over the stacked (3 C, C) matrix.
        bound = math.sqrt(6 / (4 * dim))
        for layer in (self.query, self.key, self.value):
            nn.init.uniform_(layer.weight, -bound, bound)

    def forward(self, query: Tensor, key_difference: Tensor, values: tuple[Tensor, Tensor]) -> Tensor:
        """Attend from ``query`` to two keys, of which only the difference counts, and their values, all ``(..., C)``.

        Args:
            query: What asks.
            key_difference: The second key minus the first.
            values: The value of each key.
        """

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.num_heads, -1))

        # One product for both keys. Their bias cancels: as a zero it is still a parameter with a gradient.
        difference = heads(product(key_difference, self.key.weight, self.key.bias - self.key.bias))
        logit = (heads(self.query(query)) * difference).sum(-1, keepdim=True)
        own, other = heads(self.value(values[0])), heads(self.value(values[1]))
        # On CUDA, autocast sums in float32, which `lerp` refuses beside half precision.
        share = torch.sigmoid(logit / math.sqrt(difference.shape[-1])).to(own.dtype)
        mixed = torch.lerp(own, other, share)
        return self.projection(mixed.flatten(-2))


class PixelAttention(nn.Module, ABC):
    """Mix two streams pixel by pixel, each keeping itself and taking from the other (Jia et al., GeminiFusion, 2024).

    For the stream ``own`` with ``other``: a relation score ``phi(own, other)``, two keys and two values (a subclass
    says which, in `keys_and_values`), and ``own + attention(own, keys, values)``. Both directions share the relation
    discriminator; each has its own attention and its own row of the learnt offsets ``noise1`` and ``noise2``.

    Args:
        dim: Channels C.
        num_heads: Heads of the attention.
    """

    local: ClassVar[bool] = True
    """Whether a pixel sees no other pixels. A subclass that looks around says False, and gets whole maps."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.discriminator = multi_layer_perceptron(2 * dim, dim, dim)
        self.noise1 = nn.Parameter(torch.randn(2, dim))
        self.noise2 = nn.Parameter(torch.randn(2, dim))
        self.attention_a = TwoKeyAttention(dim, num_heads)
        self.attention_b = TwoKeyAttention(dim, num_heads)

    @abstractmethod
    def keys_and_values(
        self, own: Tensor, other: Tensor, score: Tensor, noise1: Tensor, noise2: Tensor
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return the keys and the values of (self, cross).

        Args:
            own: The stream that asks, ``(B, H, W, C)``.
            other: The other stream, ``(B, H, W, C)``.
            score: Relation score of the two, ``(B, H, W, C)``: positive, its channels sum to 1.
            noise1: First learnt offset of this direction, ``(C,)``.
            noise2: Second learnt offset of this direction, ``(C,)``.
        """

    def key_difference_and_values(
        self, own: Tensor, other: Tensor, score: Tensor, noise1: Tensor, noise2: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the cross key minus the self key, all that attention needs of them, and the values.

        A subclass that has the difference in fewer operations says so; the arguments are those of `keys_and_values`.
        """
        keys, values = self.keys_and_values(own, other, score, noise1, noise2)
        return keys[1] - keys[0], values

    def relation_score(self, own: Tensor, other: Tensor) -> Tensor:
        """Score how the streams ``(B, H, W, C)`` relate: a softmax over the channels, ``(B, H, W, C)``."""
        return self.discriminator(torch.cat([own, other], dim=-1)).softmax(dim=-1)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the streams ``x`` and ``y``, both ``(B, H, W, C)``; returns the new pair."""
        return self._direction(x, y, self.attention_a, 0), self._direction(y, x, self.attention_b, 1)

    def _direction(self, own: Tensor, other: Tensor, attention: TwoKeyAttention, row: int) -> Tensor:
        score = self.relation_score(own, other)
        difference, values = self.key_difference_and_values(own, other, score, self.noise1[row], self.noise2[row])
        return own + attention(own, difference, values)
