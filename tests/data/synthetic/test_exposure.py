import numpy as np
import pytest

from fusion_lab.data.synthetic.exposure import (
    decode,
    encode,
    exposure_pair,
    linear_to_srgb,
    srgb_to_linear,
)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


def exposed(image, stops, noise=0.0):
    return exposure_pair(image, stops, contrast=1, noise=noise, generator=np.random.default_rng(0))[0]


def test_transfer_function_and_its_inverse_cancel():
    values = np.linspace(0, 1, 1001, dtype=np.float32)
    np.testing.assert_allclose(linear_to_srgb(srgb_to_linear(values)), values, atol=2e-6)
    every_byte = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(encode(decode(every_byte)), every_byte)


def test_transfer_function_meets_known_values():
    # Middle grey: 18 % of the light is 46 % of the signal.
    assert linear_to_srgb(np.array([0.18]))[0] == pytest.approx(0.4614, abs=1e-3)
    assert srgb_to_linear(np.array([0.5]))[0] == pytest.approx(0.2140, abs=1e-3)


def test_one_stop_more_doubles_the_light_where_nothing_clips():
    image = np.full((8, 8, 3), 120, np.uint8)
    brighter = exposed(image, 1)
    # Half a grey level is the rounding of the 8-bit result.
    np.testing.assert_allclose(decode(brighter), 2 * decode(image), rtol=0.01)


def test_highlights_clip():
    image = np.full((8, 8, 3), 240, np.uint8)
    assert np.all(exposed(image, 2) == 255)


def test_no_stop_and_no_noise_change_nothing(image):
    np.testing.assert_array_equal(exposed(image, 0), image)


def test_noise_has_the_deviation_of_the_model():
    image = np.full((200, 200, 3), 188, np.uint8)
    light = decode(exposed(image, 0, noise=0.03))
    expected = 0.03 * np.sqrt(decode(image)[0, 0, 0] + 0.01)
    assert light.std() == pytest.approx(expected, rel=0.1)


def test_pair_is_dark_and_bright_and_comes_back_from_its_seed(image):
    under, over = exposure_pair(image, generator=np.random.default_rng(3))
    again = exposure_pair(image, generator=np.random.default_rng(3))
    assert under.mean() < image.mean() < over.mean()
    assert under.dtype == over.dtype == np.uint8
    np.testing.assert_array_equal(under, again[0])
    np.testing.assert_array_equal(over, again[1])
    assert not np.array_equal(under, exposure_pair(image, generator=np.random.default_rng(4))[0])
