"""Likeness to a reference: the ideal fused image, where a data set has one."""

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from fusion_lab.metrics.base import MeanOverImages, check_levels, check_shapes, each_channel, grey_levels
from fusion_lab.metrics.structural_similarity import fusion_ssim


def reference_psnr(fused: Tensor, reference: Tensor) -> Tensor:
    """PSNR: ``10 log10(255^2 / MSE)``, in dB; of colour images the error is the mean over all channels.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        reference: Like ``fused``; one channel is compared with each of three.

    Returns:
        ``(B,)``; infinite for equal images, which makes the mean over a data set infinite, too.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    check_shapes(fused=fused, reference=reference)
    check_levels(fused=fused, reference=reference)
    # What is accepted and the dtype are those of every metric; only the channels go on together.
    channels = max(fused.shape[1], reference.shape[1])
    flat = [image.expand(-1, channels, -1, -1).flatten(0, 1)[:, None] for image in (fused, reference)]
    level_f, level_r = (level.unflatten(0, (-1, channels)) for level in grey_levels(*flat))
    return peak_signal_noise_ratio(level_f, level_r, data_range=255.0, reduction="none", dim=(1, 2, 3))


@each_channel
def reference_ssim(fused: Tensor, reference: Tensor) -> Tensor:
    """SSIM (Wang et al., 2004) with the reference, -1..1, as MATLAB has it; 1 for equal images.

    It is `fusion_ssim` with the reference in place of both sources, and within 1e-4 of torchmetrics' SSIM, which
    continues the image otherwise beyond its border and in float64 takes seconds for an image.

    Args:
        fused: ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
        reference: Like ``fused``; one channel is compared with each of three.

    Returns:
        ``(B,)``.

    Raises:
        FusionLabError: Images that `grey_levels` refuses.
    """
    check_levels(fused=fused, reference=reference)
    return fusion_ssim(fused, reference, reference)


class ReferenceMetric(MeanOverImages):
    """How alike a fused image is to the ideal one: as `FusionMetric`, but with ``update(fused, reference)``.

    Args:
        options: Options of ``torchmetrics.Metric``.
    """

    @abstractmethod
    def score(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return the value of each image.

        Args:
            fused: The fused images, ``(B, 1, H, W)`` or ``(B, 3, H, W)``, integers 0..255.
            reference: The ideal images, like ``fused``.

        Returns:
            ``(B,)``.

        Raises:
            FusionLabError: Images that `grey_levels` refuses.
        """

    def update(self, fused: Tensor, reference: Tensor) -> None:
        """Add a batch; the images are those of `score`."""
        check_shapes(fused=fused, reference=reference)
        check_levels(fused=fused, reference=reference)
        self.add(self.score(fused, reference))


class ReferencePSNR(ReferenceMetric):
    """PSNR, see `reference_psnr`."""

    label: ClassVar[str] = "ReferencePSNR"
    higher_is_better = True

    def score(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return PSNR of each image, ``(B,)``."""
        return reference_psnr(fused, reference)


class ReferenceSSIM(ReferenceMetric):
    """SSIM, see `reference_ssim`."""

    label: ClassVar[str] = "ReferenceSSIM"
    higher_is_better = True

    def score(self, fused: Tensor, reference: Tensor) -> Tensor:
        """Return SSIM of each image, ``(B,)``."""
        return reference_ssim(fused, reference)
