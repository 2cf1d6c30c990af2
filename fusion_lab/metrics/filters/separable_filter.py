"""Filtering of rows and columns as products of small banded matrices with strips of the image.

A strip of some dozen rows is multiplied with the matrix that holds the kernel once for each row of the result. On
a CPU this is several times faster than a convolution in float64, and nearly as fast for 31 taps as for 3.
"""

from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Border = Literal["valid", "zero", "replicate"]
"""What lies beyond the border: nothing, so that the result is smaller; black; or the edge pixels again."""

BLOCK = 32
"""Samples of the result for each product: more waste multiplications with 0, fewer waste time between products."""

CHUNK = 2**20
"""Pixels that are filtered at a time: about as many as the processor's cache holds, together with their strips."""


@lru_cache(maxsize=64)
def _band(kernel: tuple[float, ...], stride: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the matrix ``((BLOCK - 1) * stride + taps, BLOCK)`` that filters one strip."""
    # The cache may be filled under inference mode and used where gradients are wanted.
    with torch.inference_mode(False):
        band = torch.zeros((BLOCK - 1) * stride + len(kernel), BLOCK, dtype=torch.float64)
        starts = torch.arange(BLOCK) * stride
        rows = starts + torch.arange(len(kernel))[:, None]
        band.scatter_(0, rows, torch.tensor(kernel, dtype=torch.float64)[:, None].expand(-1, BLOCK))
        return band.to(device, dtype)


def separable_filter(planes: Tensor, kernel: tuple[float, ...], border: Border = "valid", stride: int = 1) -> Tensor:
    """Correlate with the same kernel along columns and rows and keep every ``stride``-th sample.

    Args:
        planes: ``(B, K, H, W)`` in floating point.
        kernel: The taps; their number is odd unless ``border`` is ``"valid"``, and then not above H and W.
        border: What lies beyond the border.
        stride: Step between the kept samples, the first one included.

    Returns:
        ``(B, K, ceil(h / stride), ceil(w / stride))``, where h and w are H and W, less the number of taps but one if
        ``border`` is ``"valid"``.
    """
    single = planes.flatten(0, 1)[:, None]
    chunks = single.split(max(1, CHUNK // single[0].numel()))
    filtered = torch.cat([_filter_chunk(chunk, kernel, border, stride) for chunk in chunks])
    return filtered[:, 0].unflatten(0, planes.shape[:2])


def _filter_chunk(planes: Tensor, kernel: tuple[float, ...], border: Border, stride: int) -> Tensor:
    taps = len(kernel)
    if border != "valid":
        mode = "constant" if border == "zero" else border
        planes = F.pad(planes, (taps // 2,) * 4, mode=mode)
    band = _band(kernel, stride, planes.dtype, planes.device)
    step = BLOCK * stride
    height, width = (-(-(side - taps + 1) // stride) for side in planes.shape[2:])
    missing = [
        (-(-kept // BLOCK) - 1) * step + len(band) - side
        for kept, side in zip((height, width), planes.shape[2:], strict=True)
    ]
    # Negative where a stride leaves a remainder over: then F.pad crops.
    planes = F.pad(planes, (0, missing[1], 0, missing[0]))
    # Copies of the overlapping strips make each product one call of BLAS.
    strips = planes.unfold(2, len(band), step).mT
    products = band.T @ strips.reshape(-1, *strips.shape[3:])
    planes = products.view(*planes.shape[:2], -1, planes.shape[3])[:, :, :height]
    strips = planes.unfold(3, len(band), step)
    return (strips.reshape(-1, len(band)) @ band).view(*planes.shape[:3], -1)[..., :width]
