"""TITA: task-invariant interaction and task-specific adaptation (Hu et al., ICCV 2025)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

import torch
from torch import Tensor, nn

from fusion_lab.networks.attention.ipa import IPA
from fusion_lab.networks.attention.pixel import PixelAttention
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.interaction import Domain, InteractionStage
from fusion_lab.networks.layers.drop_path import drop_path_rates
from fusion_lab.networks.layers.padding import pad_to_multiple
from fusion_lab.networks.layers.pooling import before_mean, image_mean
from fusion_lab.networks.layers.stage import SelfStage, normalise
from fusion_lab.networks.layers.strips import over_rows
from fusion_lab.networks.operations.adaptive_fusion import AdaptiveFusion
from fusion_lab.networks.operations.addition import Addition
from fusion_lab.networks.operations.base import Operation
from fusion_lab.networks.operations.convolution_fusion import ConvolutionFusion
from fusion_lab.networks.operations.high_pass import HighPass
from fusion_lab.networks.operations.multiplication import Multiplication


class TITA(FusionNetwork):
    """The unified fusion network of TITA; the defaults are the official network.

    Shallow convolutions and a LayerNorm that both sources share, self-attention of its own for each source,
    inter-domain blocks with IPA, OAF, self-attention and convolutions back to an image. Sides that are no multiples of
    the window are mirrored up and cropped back. The output has no activation, and no skip from the sources without
    ``blend``.

    1,378,435 parameters. The official checkpoints hold 8,430 more that their code never uses, which makes the
    1.39 M of the paper.

    Args:
        embed_dim: Channels C of all features.
        num_heads: Heads of every attention.
        window_size: Side of the attention windows in pixels.
        num_extraction_blocks: Self blocks for each source.
        num_interaction_blocks: Blocks of the interaction; 0 for no interaction at all.
        num_reconstruction_blocks: Self blocks after the fusion.
        mlp_ratio: Hidden width of the MLPs in units of ``embed_dim``.
        drop_path: Stochastic depth of the last block of a stage; it grows linearly from 0.
        pixel_attention: The pixel attention inside the inter-domain blocks; None for plain window cross-attention.
        arrangement: The kinds of the interaction blocks, repeated: ``inter`` (each stream attends to the other, the
            official IeSF) or ``intra`` (each to itself, IrSF); ``intra, intra, inter, inter`` is SwinFusion's SF.
        operations: The operation branches of OAF; none for SwinFusion's convolution in place of OAF.
        dynamic_weights: Let OAF weigh its branches by the sources; otherwise all count the same.
        blend: Let the output be a weighting of the sources, pixel by pixel, and a correction of it: between A and B by
            a sigmoid, plus what the head adds. Not in the paper: it begins at the average of the sources where the
            official head has to learn to copy them, and a short training gets further.
        brighter_first: Let the source that is brighter in the mean of the image come first, however they are given:
            the order then changes nothing. Not in the paper, whose pairs come in one order: a network that learnt from
            over-exposed images first fuses an under-exposed one first badly.
        recompute: Compute the activations inside the blocks again in the backward pass instead of keeping them:
            about half the memory for about a third more time, and the same gradients.
    """

    test_padding: ClassVar[int] = 8

    def __init__(
        self,
        embed_dim: int = 60,
        num_heads: int = 6,
        window_size: int = 8,
        num_extraction_blocks: int = 4,
        num_interaction_blocks: int = 8,
        num_reconstruction_blocks: int = 4,
        mlp_ratio: float = 2.0,
        drop_path: float = 0.1,
        pixel_attention: type[PixelAttention] | None = IPA,
        arrangement: Sequence[Domain] = ("inter",),
        operations: Sequence[type[Operation]] = (HighPass, Addition, Multiplication),
        dynamic_weights: bool = True,
        blend: bool = False,
        brighter_first: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if embed_dim % num_heads:
            raise ValueError(f"`embed_dim` should be a multiple of `num_heads`. Found {embed_dim} and {num_heads}.")
        if not (operations or dynamic_weights):
            raise ValueError("`dynamic_weights: false` needs `operations`, whose weights it fixes.")
        self.window_size = window_size
        self.blend = blend
        self.brighter_first = brighter_first
        self._order: Tensor | None = None
        # Measured with the official width and with 40 channels, which took 830 at 640x960 pixels.
        self.bytes_per_pixel = 1_300 * max(embed_dim, 40) // 60

        def self_stage(num_blocks: int) -> SelfStage:
            rates = drop_path_rates(num_blocks, drop_path)
            return SelfStage(embed_dim, num_heads, window_size, mlp_ratio, rates, recompute)

        half, quarter = embed_dim // 2, embed_dim // 4
        self.shallow = nn.Sequential(
            nn.Conv2d(1, half, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, embed_dim, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.embed_norm = nn.LayerNorm(embed_dim)
        self.extraction_a = self_stage(num_extraction_blocks)
        self.extraction_b = self_stage(num_extraction_blocks)
        self.interaction = InteractionStage(
            embed_dim,
            num_heads,
            window_size,
            mlp_ratio,
            num_interaction_blocks,
            drop_path,
            arrangement,
            pixel_attention,
            recompute,
        )
        self.adaptation = (
            AdaptiveFusion(embed_dim, operations, dynamic_weights) if operations else ConvolutionFusion(embed_dim)
        )
        self.reconstruction = self_stage(num_reconstruction_blocks)
        self.head = nn.Sequential(
            nn.Conv2d(embed_dim, half, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, 2 if blend else 1, 3, padding=1),
        )

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` to ``(B, 1, H, W)``; H and W are 8 or more."""
        height, width = source_a.shape[-2:]
        if self.brighter_first:
            exchanged = self.exchanged(source_a, source_b)[:, None, None, None]
            source_a, source_b = source_a.where(~exchanged, source_b), source_b.where(~exchanged, source_a)
        x, y = before_mean(lambda: self._interact(source_a, source_b))
        fused = self.adaptation(x.permute(0, 3, 1, 2), y.permute(0, 3, 1, 2))
        del x, y
        fused = self.reconstruction(normalise(self.embed_norm, fused.permute(0, 2, 3, 1)))
        image = over_rows(self.head, [fused.permute(0, 3, 1, 2)], halo=3)[..., :height, :width]
        if not self.blend:
            return image
        share, correction = image.split(1, dim=1)
        return torch.lerp(source_a, source_b, share.sigmoid().to(source_a.dtype)) + correction

    def exchanged(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Say of each pair whether its second source ``(B, 1, H, W)`` comes first: booleans ``(B,)``, or ``(1,)``."""
        if self._order is not None:
            return self._order.to(source_a.device)
        mean_a, mean_b = image_mean(source_a, source_b).unbind(dim=1)
        return mean_b > mean_a

    @contextmanager
    def ordered_by(self, source_a: Tensor, source_b: Tensor) -> Iterator[None]:
        """Sort all pairs that are fused meanwhile as this one, ``(1, 1, H, W)`` each."""
        self._order = self.exchanged(source_a, source_b)
        try:
            yield
        finally:
            self._order = None

    def parts(self) -> dict[str, nn.Module]:
        """Name the stages of the paper's figure: the shallow layers belong to the extraction, the head to the last."""
        return {
            "extraction": nn.ModuleList([self.shallow, self.embed_norm, self.extraction_a, self.extraction_b]),
            "interaction": self.interaction,
            "adaptation": self.adaptation,
            "reconstruction": nn.ModuleList([self.reconstruction, self.head]),
        }

    def _interact(self, source_a: Tensor, source_b: Tensor) -> tuple[Tensor, Tensor]:
        """Turn the sources into the features ``(B, H', W', C)`` of each after it saw the other."""
        x = self.extraction_a(self._embed(source_a))
        y = self.extraction_b(self._embed(source_b))
        return self.interaction(normalise(self.embed_norm, x), normalise(self.embed_norm, y))

    def _embed(self, source: Tensor) -> Tensor:
        """Turn a source ``(B, 1, H, W)`` into features ``(B, H', W', C)`` with sides of whole windows."""
        features = over_rows(self.shallow, [pad_to_multiple(source, self.window_size)], halo=2)
        return normalise(self.embed_norm, features.permute(0, 2, 3, 1))
