"""Fusion by guided filtering."""

from collections.abc import Sequence

import torch
from kornia.filters import box_blur, gaussian_blur2d, guided_blur, laplacian
from torch import Tensor

from fusion_lab.networks.base import ManySourceNetwork


class GuidedFilter(ManySourceNetwork):
    """A base and a detail layer, each mixed by a map of saliency that a guided filter aligns with the edges.

    Li, Kang and Hu, "Image fusion with guided filtering", IEEE TIP 2013, with the numbers of that paper: a mean over
    31 pixels makes the base, the saliency is the magnitude of the Laplacian blurred by a Gaussian of 11 pixels and
    sigma 5, the maps are filtered with radius 45 and eps 0.3 for the base and radius 7 and eps 1e-6 for the details.
    On images that are smaller the windows are the largest that fit.
    """

    bytes_per_pixel = 256

    def fuse_all(self, sources: Sequence[Tensor]) -> Tensor:
        """Fuse sources ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        largest = min(sources[0].shape[-2:])
        saliency = torch.stack([_saliency(source, largest) for source in sources])
        # Of equally salient sources the first is preferred.
        best = saliency.argmax(dim=0)
        preferred = [(best == i).to(sources[0].dtype) for i in range(len(sources))]
        bases = [box_blur(source, _window(31, largest)) for source in sources]
        details = [source - base for source, base in zip(sources, bases, strict=True)]
        base = _mix(bases, sources, preferred, _window(91, largest), 0.3)
        return base + _mix(details, sources, preferred, _window(15, largest), 1e-6)


def _window(wanted: int, largest: int) -> int:
    """Return the odd side of a window whose mirrored border is inside the image."""
    return min(wanted, 2 * ((largest - 1) // 2) + 1)


def _saliency(source: Tensor, largest: int) -> Tensor:
    edges = laplacian(source, 3, normalized=False).abs()
    return gaussian_blur2d(edges, _window(11, largest), (5.0, 5.0))


def _mix(
    layers: Sequence[Tensor], sources: Sequence[Tensor], preferred: Sequence[Tensor], window: int, eps: float
) -> Tensor:
    """Mix the layers of all sources by how much the filtered maps prefer each."""
    weights = torch.stack([guided_blur(one, map_, window, eps) for one, map_ in zip(sources, preferred, strict=True)])
    total = weights.sum(dim=0)
    # Filtered maps overshoot a little; where they cancel, no source is preferred.
    shares = (weights / total).where(total.abs() > 1e-6, 1 / len(layers)).clamp(min=0)
    shares = shares / shares.sum(dim=0)
    return (shares * torch.stack(list(layers))).sum(dim=0)
