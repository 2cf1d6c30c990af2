"""Fusion by guided filtering."""

from kornia.filters import box_blur, gaussian_blur2d, guided_blur, laplacian
from torch import Tensor

from fusion_lab.networks.base import FusionNetwork


class GuidedFilter(FusionNetwork):
    """A base and a detail layer, each mixed by a map of saliency that a guided filter aligns with the edges.

    Li, Kang and Hu, "Image fusion with guided filtering", IEEE TIP 2013, with the numbers of that paper: a mean over
    31 pixels makes the base, the saliency is the magnitude of the Laplacian blurred by a Gaussian of 11 pixels and
    sigma 5, the maps are filtered with radius 45 and eps 0.3 for the base and radius 7 and eps 1e-6 for the details.
    On images that are smaller the windows are the largest that fit.
    """

    bytes_per_pixel = 256

    def forward(self, source_a: Tensor, source_b: Tensor) -> Tensor:
        """Fuse ``(B, 1, H, W)`` and ``(B, 1, H, W)`` in [0, 1] to ``(B, 1, H, W)``."""
        largest = min(source_a.shape[-2:])
        saliency_a, saliency_b = (_saliency(source, largest) for source in (source_a, source_b))
        prefers_a = (saliency_a >= saliency_b).to(source_a.dtype)
        base_a, base_b = (box_blur(source, _window(31, largest)) for source in (source_a, source_b))
        base = _mix(base_a, base_b, source_a, source_b, prefers_a, _window(91, largest), 0.3)
        details = _mix(source_a - base_a, source_b - base_b, source_a, source_b, prefers_a, _window(15, largest), 1e-6)
        return base + details


def _window(wanted: int, largest: int) -> int:
    """Give the odd side of a window whose mirrored border is inside the image."""
    return min(wanted, 2 * ((largest - 1) // 2) + 1)


def _saliency(source: Tensor, largest: int) -> Tensor:
    edges = laplacian(source, 3, normalized=False).abs()
    return gaussian_blur2d(edges, _window(11, largest), (5.0, 5.0))


def _mix(
    layer_a: Tensor, layer_b: Tensor, source_a: Tensor, source_b: Tensor, prefers_a: Tensor, window: int, eps: float
) -> Tensor:
    """Mix two layers by how much the filtered maps prefer each."""
    weight_a = guided_blur(source_a, prefers_a, window, eps)
    weight_b = guided_blur(source_b, 1 - prefers_a, window, eps)
    total = weight_a + weight_b
    # Filtered maps overshoot a little; where they cancel, neither source is preferred.
    share_a = (weight_a / total).where(total.abs() > 1e-6, 0.5).clamp(0, 1)
    return share_a * layer_a + (1 - share_a) * layer_b
