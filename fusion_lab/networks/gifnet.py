"""GIFNet: one network for all fusion tasks by the interaction of two (Cheng et al., CVPR 2025)."""

from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from fusion_lab.networks.attention.cross_fusion import BranchBlock, OffsetBias
from fusion_lab.networks.base import FusionNetwork
from fusion_lab.networks.layers.linear import Pointwise
from fusion_lab.networks.layers.padding import pad_to_multiple
from fusion_lab.networks.layers.strips import over_rows

BranchName = Literal["multi_modal", "digital_photography"]


def convolution(in_dim: int, out_dim: int) -> nn.Conv2d:
    """Make a 3x3 convolution that mirrors the map at its border."""
    return nn.Conv2d(in_dim, out_dim, 3, padding=1, padding_mode="reflect")


class SharedEncoder(nn.Module):
    """Three densely connected convolutions on both sources."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([convolution(2 + i * width, width) for i in range(3)])

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Encode ``(B, 1, H, W)`` each to ``(B, 2 + 3 width, H, W)``: the sources and the features of every layer."""
        # The release puts its infrared image first, which is the second source here.
        sources = torch.cat([source_b, source_a], dim=1)
        # Everything after follows: with the channels last, CPUs convolve in half the time.
        sources = sources.contiguous(memory_format=torch.channels_last)
        return over_rows(self._encode, [sources], halo=len(self.layers))

    def _encode(self, features: Tensor) -> Tensor:
        for layer in self.layers:
            features = torch.cat([features, layer(features).relu()], dim=1)
        return features


class Decoder(nn.Sequential):
    """Four convolutions back to an image in [-1, 1]."""

    def __init__(self, dim: int) -> None:
        layers: list[nn.Module] = []
        for width in (64, 32, 16):
            layers += [convolution(dim, width), nn.ReLU()]
            dim = width
        super().__init__(*layers, convolution(dim, 1), nn.Tanh())


class Branch(nn.Module):
    """What one of the two tasks owns: an embedding and two blocks.

    In the first, the auxiliary branch asks with the main one's queries and gives it its result. The second, with
    shifted windows, works for the main branch alone.
    """

    def __init__(self, dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.embedding = convolution(dim, dim)
        self.blocks = nn.ModuleList(
            [BranchBlock(dim, num_heads, window_size, shift) for shift in (0, window_size // 2)]
        )


class GIFNet(FusionNetwork):
    """The network of GIFNet; the defaults are the official one.

    A shared encoder; a branch for multi-modal (MM) and one for digital-photography (DP) tasks, which cross-fusion
    gating (CFGM) lets see each other; a gate and the global decoder. A reconstruction branch (REC) works on the
    encoder's features in training only. Which branch is the main one is an argument: in training they take turns,
    inference feeds one pair to both. Nothing here freezes anything.

    The normalisation of the branches looks at whole images. Tiles share its statistics (`image_moments`), for which
    they are worked through three times more, each time a little further.

    Args:
        width: Features of each layer of the encoder.
        num_heads: Heads of the attention, which must divide ``2 + 3 width``.
        window_size: Side of the attention windows in pixels.
        influence: How much of the auxiliary branch the main one takes, lambda of the paper: ``learnt`` for each main
            task as in the release, ``shared`` for one that both learn as in the paper's text, or a number that stays;
            with 0 the branches do not interact.
        main: Which branch is the main one when the network fuses; the release takes the DP branch.
    """

    colour_rule: ClassVar[Literal["tita", "gifnet"]] = "gifnet"

    def __init__(
        self,
        width: int = 32,
        num_heads: int = 2,
        window_size: int = 8,
        influence: Literal["learnt", "shared"] | float = "learnt",
        main: BranchName = "digital_photography",
    ) -> None:
        super().__init__()
        dim = 2 + 3 * width
        if main not in get_args(BranchName):
            raise ValueError(f"`main` should be one of {', '.join(get_args(BranchName))}. Found `main = {main!r}`.")
        if isinstance(influence, str) and influence not in ("learnt", "shared"):
            raise ValueError(f"`influence` should be learnt, shared or a number. Found `influence = {influence!r}`.")
        if dim % num_heads:
            raise ValueError(f"`num_heads` should divide `2 + 3 width` ({dim}). Found `num_heads = {num_heads}`.")
        # Measured with the official width.
        self.bytes_per_pixel = 3_400 * max(dim, 98) // 98
        self.encoder = SharedEncoder(width)
        self.reconstruction = Decoder(dim)
        self.multi_modal = Branch(dim, num_heads, window_size)
        self.digital_photography = Branch(dim, num_heads, window_size)
        # Both branches share the bias of their attention and the way back from it.
        self.offset_bias = nn.ModuleList([OffsetBias(num_heads, window_size) for _ in range(2)])
        self.merge = convolution(dim, dim)
        learnt = {"learnt": get_args(BranchName), "shared": ("shared",)}.get(str(influence), ())
        self.influence = nn.ParameterDict({name: nn.Parameter(torch.rand(1)) for name in learnt})
        self.fixed_influence = None if learnt else float(influence)
        self.main = main
        self.gate = nn.Sequential(Pointwise(2 * dim, dim, bias=False), nn.ReLU(), Pointwise(dim, 128, bias=False))
        self.decoder = Decoder(128)

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)`` in [0, 1]."""
        features = self.encoder(source_a, source_b)
        return self.fuse(features, features, self.main)

    def fuse(self, main: Tensor, auxiliary: Tensor, task: BranchName, detach_auxiliary: bool = False) -> Tensor:
        """Fuse what the encoder says of a pair of the main task, with the help of one of the auxiliary task.

        Args:
            main: Features of the main task's pair, ``(B, C, H, W)``.
            auxiliary: Features of the auxiliary task's pair, ``(B, C, H, W)``.
            task: The main task.
            detach_auxiliary: Let no gradient pass through the auxiliary branch's attention.

        Returns:
            Fused luminance of the main pair, ``(B, 1, H, W)`` in [0, 1].
        """
        mixed = self.interact(main, auxiliary, task, detach_auxiliary)

        def decode(main: Tensor, mixed: Tensor) -> Tensor:
            return self.decoder(self.gate(torch.cat([main, mixed], dim=1))) / 2 + 0.5

        return over_rows(decode, [main, mixed], halo=4)

    def interact(self, main: Tensor, auxiliary: Tensor, task: BranchName, detach_auxiliary: bool = False) -> Tensor:
        """Compute what the branch of the main task makes of the features of `fuse`, ``(B, C, H, W)``."""
        height, width = main.shape[-2:]
        branches = (self.multi_modal, self.digital_photography)
        own, other = branches if task == "multi_modal" else branches[::-1]
        bias = self.offset_bias[0]()

        def embed(branch: Branch, features: Tensor) -> Tensor:
            return over_rows(branch.embedding, [pad_to_multiple(features, 4)], halo=1)

        interacts = self.fixed_influence != 0
        x, queries, values = own.blocks[0](embed(own, main), bias, give_queries=interacts)
        local = values if task == "multi_modal" else None
        del values
        if interacts:
            # A map of its own, or it would keep the keys and values in memory too.
            queries = queries.contiguous(memory_format=torch.channels_last)
            # The release's auxiliary DP branch also convolves MM's values.
            y, _, _ = other.blocks[0](embed(other, auxiliary), bias, queries, local, detach_auxiliary)
            x = torch.addcmul(x, y, torch.as_tensor(self._influence(task), dtype=y.dtype, device=y.device))
            del y
        del queries, local
        x, _, _ = own.blocks[1](x, self.offset_bias[1]())
        return over_rows(self.merge, [x], halo=1)[..., :height, :width]

    def _influence(self, task: BranchName) -> Tensor | float:
        if self.fixed_influence is not None:
            return self.fixed_influence
        return self.influence[task if task in self.influence else "shared"]

    def reconstruct(self, features: Tensor) -> Tensor:
        """Return REC's image of the encoder's features, ``(B, 1, H, W)`` in [-1, 1]."""
        return self.reconstruction(features)
