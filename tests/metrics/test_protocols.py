"""What the protocols make of decoded images."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from fusion_lab.errors import FusionLabError
from fusion_lab.metrics import AverageGradient, Entropy, entropy, fusion_mutual_information
from fusion_lab.metrics.protocols import (
    CDDFUSE,
    GIFNET,
    PROTOCOLS,
    TITA,
    VIFB,
    Protocol,
    grey_of_matlab,
    grey_of_opencv,
    grey_of_pillow,
)

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


def pictures(colour: bool, height: int = 140, width: int = 151) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = [127 + 60 * np.sin(x / (3 + i)) * np.cos(y / 5) for i in range(9)]
    noise = generator.normal(scale=6, size=(9, height, width))
    planes = np.clip(np.array(waves) + noise, 0, 255).astype(np.uint8)
    return [np.stack(list(planes[i::3]), axis=-1) if colour else planes[i] for i in range(3)]


@every_protocol
@pytest.mark.parametrize("colour", [False, True])
def test_every_column_has_a_value_and_a_direction(protocol, colour):
    values = protocol.scores(*pictures(colour))
    assert list(values) == list(protocol.metrics) == list(protocol.higher_is_better)
    assert np.isfinite(list(values.values())).all()
    assert protocol.source.endswith(".")


def test_columns_are_those_of_the_papers():
    assert set(TITA.metrics) >= {"MI", "FMI", "Qabf", "VIF", "SSIM"}
    assert list(GIFNET.metrics)[:4] == ["EI", "VIF", "SCD", "AG"]
    assert len(VIFB.metrics) == 13
    assert list(CDDFUSE.metrics) == ["EN", "SD", "SF", "MI", "SCD", "VIF", "Qabf", "SSIM"]
    assert [label for label, higher in VIFB.higher_is_better.items() if not higher] == ["CE", "RMSE", "Qcv"]


def test_colour_is_converted_or_scored_by_channel():
    fused, source_a, source_b = pictures(colour=True)
    tensors = [torch.from_numpy(np.moveaxis(image, 2, 0))[None] for image in (fused, source_a, source_b)]
    assert VIFB.scores(fused, source_a, source_b)["EN"] == entropy(tensors[0]).item()
    grey = [torch.from_numpy(grey_of_matlab(image))[None, None] for image in (fused, source_a, source_b)]
    assert TITA.scores(fused, source_a, source_b)["MI"] == fusion_mutual_information(*grey).item()


def test_a_grey_source_goes_with_every_channel():
    fused, source_a, source_b = pictures(colour=True)
    infrared = source_b[..., 0]
    threefold = np.stack([infrared] * 3, axis=-1)
    assert VIFB.scores(fused, source_a, infrared) == pytest.approx(VIFB.scores(fused, source_a, threefold))


def test_grey_conversions_equal_the_programs_they_are_named_after():
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    converted = {"matlab": grey_of_matlab(image), "opencv": grey_of_opencv(image), "pillow": grey_of_pillow(image)}
    assert all(grey.dtype == np.uint8 and grey.shape == (50, 60) for grey in converted.values())
    np.testing.assert_array_equal(converted["pillow"], np.asarray(Image.fromarray(image).convert("L")))
    # OpenCV's 8-bit arithmetic differs from its float32, which CDDFuse uses, by a level at most.
    of_bytes = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(of_bytes - converted["opencv"]).max() <= 1
    for one, other in [("matlab", "opencv"), ("matlab", "pillow")]:
        difference = np.abs(converted[one].astype(int) - converted[other])
        assert difference.max() == 1
        assert difference.mean() < 0.01
    assert grey_of_matlab(np.array([[[255, 255, 255], [0, 0, 0], [255, 0, 0]]], np.uint8)).tolist() == [[255, 0, 76]]


def test_single_precision_gives_the_same_to_six_digits():
    images = pictures(colour=False)
    single = Protocol("mine", "Mine.", TITA.metrics, dtype=torch.float32)
    assert single.prepare(images[0]).dtype == torch.float32
    assert single.scores(*images) == pytest.approx(TITA.scores(*images), rel=1e-5)


def test_an_own_protocol_names_its_columns():
    own = Protocol("own", "My choice.", {"sharpness": AverageGradient(norm="n"), "EN": Entropy()}, grey=None)
    assert list(own.scores(*pictures(colour=True))) == ["sharpness", "EN"]
    assert own.higher_is_better == {"sharpness": True, "EN": True}


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((64, 64), np.uint16),
        np.zeros((64, 64)),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 1), np.uint8),
        np.zeros(64, np.uint8),
    ],
)
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(FusionLabError, match=r"protocol vifb takes 8-bit images of shape \(H, W\) or \(H, W, 3\)"):
        VIFB.prepare(image)


def test_images_of_different_sizes_are_refused():
    fused, source_a, source_b = pictures(colour=False)
    with pytest.raises(FusionLabError, match="one size"):
        TITA.scores(fused, source_a[:-1], source_b)


def test_images_that_are_too_small_are_refused_by_the_column():
    small = [image[:40] for image in pictures(colour=False)]
    with pytest.raises(FusionLabError, match=r"^VIF of the protocol tita: .* 41 pixels a side, .* 40 x 151"):
        TITA.scores(*small)
