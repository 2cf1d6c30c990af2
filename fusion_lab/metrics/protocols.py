"""The evaluations of published tables: which metrics, in which variants, on which treatment of colour.

    values = TITA.scores(fused, source_a, source_b)  # decoded 8-bit images, such as {"MI": 4.1, "FMI": 0.89, ...}

Two tables agree only if all of this agrees: docs/METRICS.md tells how far the variants lie apart. Every protocol
takes 8-bit images as they lie in files (a network's output is quantised first, `quantise`) and gives a value per image;
over a data set the values are averaged, every image counting the same.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusion_lab import metrics as m
from fusion_lab.errors import FusionLabError
from fusion_lab.metrics.base import FusionMetric, check_shapes

Pixels = NDArray[np.uint8]


def grey_of_matlab(image: Pixels) -> Pixels:
    """Convert RGB ``(H, W, 3)`` as MATLAB's ``rgb2gray`` does, rounding half up, to ``(H, W)``."""
    grey = image @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
    return np.floor(grey + 0.5).astype(np.uint8)


def grey_of_opencv(image: Pixels) -> Pixels:
    """Convert RGB ``(H, W, 3)`` as OpenCV does in float32, rounding half to even, to ``(H, W)``."""
    return np.round(cv2.cvtColor(image.astype(np.float32), cv2.COLOR_RGB2GRAY)).astype(np.uint8)


def grey_of_pillow(image: Pixels) -> Pixels:
    """Convert RGB ``(H, W, 3)`` as Pillow does in fixed-point arithmetic, to ``(H, W)``."""
    return np.asarray(Image.fromarray(image).convert("L"))


@dataclass(frozen=True)
class Protocol:
    """A way to score fused images that a table can name.

    Attributes:
        name: What it is called on the command line.
        source: Where the definitions come from, and which of them are inference.
        metrics: The metrics with their variants, by the label of the column.
        grey: Converts RGB before scoring; None scores each channel and takes the mean over the channels.
        dtype: The arithmetic, float64 or float32; float64 is that of the field's programs.
    """

    name: str
    source: str
    metrics: Mapping[str, FusionMetric]
    grey: Callable[[Pixels], Pixels] | None = grey_of_matlab
    dtype: torch.dtype = torch.float64

    @property
    def higher_is_better(self) -> dict[str, bool]:
        """The direction of each column."""
        return {label: bool(metric.higher_is_better) for label, metric in self.metrics.items()}

    def prepare(self, image: NDArray[Any]) -> Tensor:
        """Turn a decoded image into what the metrics take.

        Args:
            image: ``(H, W)`` or ``(H, W, 3)`` in RGB, uint8.

        Returns:
            ``(1, 1, H, W)``, or ``(1, 3, H, W)`` for colour that is scored by channel, in `dtype`.

        Raises:
            FusionLabError: Another shape or type.
        """
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise FusionLabError(
                f"The protocol {self.name} takes 8-bit images of shape (H, W) or (H, W, 3), but one has shape "
                f"{image.shape} and type {image.dtype}: convert it first."
            )
        if image.ndim == 3 and self.grey is not None:
            image = self.grey(image)
        planes = image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0)
        return torch.from_numpy(planes.astype(np.uint8))[None].to(self.dtype)

    def scores(self, fused: NDArray[Any], source_a: NDArray[Any], source_b: NDArray[Any]) -> dict[str, float]:
        """Score one fused image.

        Args:
            fused: ``(H, W)`` or ``(H, W, 3)`` in RGB, uint8.
            source_a: Like ``fused``; a grey source goes with every channel of a fused image in colour.
            source_b: Like ``source_a``.

        Returns:
            The value by the label of the column.

        Raises:
            FusionLabError: Images that `prepare` or a metric refuses.
        """
        images = [self.prepare(image) for image in (fused, source_a, source_b)]
        check_shapes(**dict(zip(("fused", "source_a", "source_b"), images, strict=True)))
        values = {}
        for label, metric in self.metrics.items():
            try:
                values[label] = metric.score(*images).item()
            except FusionLabError as error:
                raise FusionLabError(f"{label} of the protocol {self.name}: {error}") from None
        return values


TITA = Protocol(
    name="tita",
    source=(
        "TITA (arXiv 2504.05164) names MI, FMI, Qabf, VIF (IVF) and SSIM (MFF, MEF) and releases no evaluation: all "
        "variants are inference from the size of its numbers. SSIM is MEF-SSIM; its VIF may be either column."
    ),
    metrics={
        "MI": m.FusionMutualInformation(),
        "FMI": m.FeatureMutualInformation(),
        "Qabf": m.EdgePreservation(),
        "VIF": m.VisualInformationFidelitySum(),
        "VIFF": m.VIFF(),
        "SSIM": m.MEFSSIM(scales=3),
    },
)

GIFNET = Protocol(
    name="gifnet",
    source=(
        "GIFNet (CVPR 2025) names EI, VIF, SCD and AG and releases no evaluation; inferred from TextFusion's, by the "
        "same first author: SCD of saturating 8-bit differences, VIF in the wavelet domain on [0, 1]. EI and AG "
        "measured on the released weights' images fit the paper to 4 %, VIF and SCD are not settled: VIFp, in the "
        "pixel domain on [0, 1], and SCD_plain, without saturation, are the other readings."
    ),
    metrics={
        "EI": m.EdgeIntensity(),
        "VIF": m.WaveletVIF(),
        "SCD": m.SumCorrelationDifferences(saturate=True),
        "AG": m.AverageGradient(),
        "VIFp": m.VisualInformationFidelitySum(reduction="mean", white=1),
        "SCD_plain": m.SumCorrelationDifferences(),
    },
)

VIFB = Protocol(
    name="vifb",
    source="VIFB (CVPRW 2020): its MATLAB programs; its published values are met to the printed digits; no inference.",
    metrics={
        "CE": m.CrossEntropy(),
        "EN": m.Entropy(),
        "MI": m.FusionMutualInformation(base=math.e, variant="vifb"),
        "PSNR": m.PeakSignalNoiseRatio(variant="vifb"),
        "AG": m.AverageGradient(),
        "EI": m.EdgeIntensity(),
        "Qabf": m.EdgePreservation(),
        "SD": m.StandardDeviation(),
        "SF": m.SpatialFrequency(norm="vifb"),
        "RMSE": m.VIFBRootMeanSquaredError(),
        "SSIM": m.FusionSSIM(reduction="sum", border="valid"),
        "Qcb": m.Qcb(),
        "Qcv": m.Qcv(),
    },
    grey=None,
)

CDDFUSE = Protocol(
    name="cddfuse",
    source=(
        "CDDFuse (CVPR 2023): its Evaluator.py, in float64 instead of float32; its SSIM takes the range 2 that "
        "scikit-image assumed of floating point before 0.19; no inference."
    ),
    metrics={
        "EN": m.Entropy(),
        "SD": m.StandardDeviation(),
        "SF": m.SpatialFrequency(),
        "MI": m.FusionMutualInformation(base=math.e),
        "SCD": m.SumCorrelationDifferences(),
        "VIF": m.VisualInformationFidelitySum(),
        "Qabf": m.EdgePreservation(),
        "SSIM": m.FusionSSIM(reduction="sum", border="valid", window="uniform", data_range=2),
    },
    grey=grey_of_opencv,
)

PROTOCOLS = {protocol.name: protocol for protocol in (TITA, GIFNET, VIFB, CDDFUSE)}
"""All protocols by name."""
