"""What the metrics of Chen & Blum and of Chen & Varshney share: filters of the eye."""

from collections.abc import Callable

import torch
from torch import Tensor


def filter_frequencies(planes: Tensor, sensitivity: Callable[[Tensor], Tensor], unit: float) -> Tensor:
    """Filter images by how well the eye sees each frequency, going on periodically beyond the border.

    Args:
        planes: ``(..., H, W)`` in floating point.
        sensitivity: Maps frequencies to factors.
        unit: The frequency that is 1 to ``sensitivity``, in cycles per image.

    Returns:
        Like ``planes``.
    """
    height, width = planes.shape[-2:]
    vertical = torch.fft.fftfreq(height, 1 / height, dtype=planes.dtype, device=planes.device) / unit
    horizontal = torch.fft.rfftfreq(width, 1 / width, dtype=planes.dtype, device=planes.device) / unit
    factors = sensitivity((vertical[:, None].square() + horizontal.square()).sqrt())
    return torch.fft.irfft2(torch.fft.rfft2(planes) * factors, s=(height, width))
