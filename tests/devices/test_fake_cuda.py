"""Nothing that runs on a GPU lets tensors of the GPU and of the CPU meet, nor types that its autocast makes."""

import inspect

import pytest
import torch

from fusion_lab import losses, metrics
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.losses.information import FixedInformation, GradientInformation
from fusion_lab.metrics.base import FusionMetric
from fusion_lab.networks import IFCNN, TITA
from fusion_lab.networks.attention import IPA, PA
from fusion_lab.networks.operations import Addition, HighPass, HighPassZeroPadded, Multiplication
from fusion_lab.weighting import FAMO, Equal
from tests.devices.fake_cuda import fake_cuda, images, on_cuda
from tests.networks.test_contracts import SMALL, all_networks

PRECISIONS = [None, torch.bfloat16, torch.float16]
VARIANTS = {
    "PA": {"pixel_attention": PA},
    "no pixel attention": {"pixel_attention": None},
    "intra": {"arrangement": ["intra"]},
    "no interaction": {"num_interaction_blocks": 0},
    "SF": {"arrangement": ["intra", "intra", "inter", "inter"], "num_interaction_blocks": 4},
    "convolution": {"operations": []},
    "equal weights": {"dynamic_weights": False},
    "zero-padded": {"operations": [HighPassZeroPadded, Addition]},
    "minus MUL": {"operations": [HighPass, Addition]},
    "MUL": {"operations": [Multiplication]},
    "recompute": {"recompute": True},
    "unaligned heads": {"pixel_attention": IPA, "embed_dim": 98, "num_heads": 2},
}
TERMS = [
    losses.Texture(),
    losses.Intensity("maximum"),
    losses.Intensity("mean"),
    losses.Intensity("sharper"),
    losses.Structure("gradient"),
    losses.Structure("equal"),
    losses.EdgePreservation(),
    losses.ExposureStructure(),
    losses.VisualInformation(),
    losses.SquaredError(),
    losses.MultiScaleStructure(),
    losses.InformationError(GradientInformation()),
    losses.InformationError(FixedInformation()),
]


def all_metrics():
    found = vars(metrics).values()
    return [
        one for one in found if inspect.isclass(one) and issubclass(one, FusionMetric) and not inspect.isabstract(one)
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
# Batch normalisation, in training, asks this build for a guard of the device; test_meta.py trains it.
@pytest.mark.parametrize(
    ("cls", "training"),
    [(cls, training) for cls in all_networks() for training in (True, False) if (cls, training) != (IFCNN, True)],
)
def test_networks(cls, precision, training):
    network = cls(**SMALL.get(cls.__name__, {})).train(training)
    with fake_cuda(precision):
        fused = on_cuda(network)(images(2, 1, 24, 40), images(2, 1, 24, 40))
        assert (fused.device.type, fused.shape) == ("cuda", (2, 1, 24, 40))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_tita(variant, precision, training):
    network = TITA(**{**SMALL["TITA"], **VARIANTS[variant]}).train(training)
    with fake_cuda(precision):
        assert on_cuda(network)(images(2, 1, 16, 24), images(2, 1, 16, 24)).is_cuda


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_losses(term):
    with fake_cuda():
        sample = {name: images(2, 1, 48, 48) for name in ("source_a", "source_b", "target")}
        loss = on_cuda(term)(images(2, 1, 48, 48), sample)
        assert (loss.device.type, loss.ndim) == ("cuda", 0)


@pytest.mark.parametrize("reuse", [True, False])
def test_famo(reuse):
    weighting = FAMO(reuse_next_loss=reuse)
    weighting.setup(["ivf", "mff", "mef"])
    with fake_cuda():
        on_cuda(weighting)
        given = {task: images() for task in ("ivf", "mff", "mef")}
        assert weighting(given).is_cuda
        assert weighting({"mff": images(), "mef": images()}).is_cuda
        numbers = weighting.update(given, {"ivf": images(), "mef": images(), "mff": images()})
        assert all(number.is_cuda for number in numbers.values())


def test_equal_weights():
    with fake_cuda():
        assert Equal()({"ivf": images(), "mff": images()}).is_cuda


@pytest.mark.parametrize("metric", all_metrics(), ids=lambda metric: metric.__name__)
def test_metrics(metric):
    one = metric()
    with fake_cuda():
        scores = on_cuda(one).score(*(images(1, 1, 176, 176, dtype=torch.float64) for _ in range(3)))
        assert scores.is_cuda


@pytest.mark.parametrize("memory_limit", [6.0, 0.03])
def test_whole_images_and_tiles(memory_limit):
    network = TITA(**SMALL["TITA"])
    with fake_cuda():
        fused = fuse_luminance(on_cuda(network), images(1, 1, 88, 96), images(1, 1, 88, 96), memory_limit)
        assert fused.is_cuda
