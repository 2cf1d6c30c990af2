"""The model behind every VIF: in each window the fused image is a source, amplified, plus noise."""

import torch
from torch import Tensor


def local_gain(variance_f: Tensor, variance_s: Tensor, covariance: Tensor, tiny: float) -> tuple[Tensor, Tensor]:
    """Explain the fused image by a source.

    Args:
        variance_f: Of the fused image, for each window.
        variance_s: Of the source, broadcastable.
        covariance: Between both, broadcastable.
        tiny: The variance below which a window is flat.

    Returns:
        The gain, ``covariance / variance_s``, which is 0 where either is flat or the source is inverted; and the
        variance that it leaves unexplained, at least ``tiny``.
    """
    related = (variance_f >= tiny) & (variance_s >= tiny) & (covariance > 0)
    gain = torch.where(related, covariance / (variance_s + tiny), 0)
    return gain, (variance_f - gain * covariance).clamp(min=tiny)
