import cv2
import numpy as np
import pytest

from fusion_lab.data.images import Picture
from fusion_lab.inference.colour import merge_colours


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def solid(*rgb, dtype=np.uint8):
    return Picture(np.full((9, 13, 3), rgb, dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_with_grey_keeps_the_colour(dtype):
    top = np.iinfo(dtype).max
    colour = Picture(noise(9, 13, 3, dtype=dtype) // 4 + top // 3)
    grey = Picture(noise(9, 13, dtype=dtype, seed=1))
    for pair in ((colour, grey), (grey, colour)):
        merged = merge_colours(*pair, colour.luminance())
        assert abs(merged.pixels.astype(int) - colour.pixels).max() <= 4
        assert merged.pixels.dtype == dtype


def test_stronger_colour_weighs_more():
    red, faint_blue = solid(220, 30, 30), solid(120, 120, 140)
    merged = merge_colours(red, faint_blue, red.luminance())
    assert merged.pixels[..., 0].min() > 180
    assert merged.pixels[..., 1:].max() < 90


def test_mean_is_cut_not_rounded():
    rng = np.random.default_rng(0)
    a, b = (Picture(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2))
    merged = merge_colours(a, b, np.full((64, 64), 128, np.uint8))

    chroma_a, chroma_b = (cv2.cvtColor(p.pixels, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float) for p in (a, b))
    strength_a, strength_b = abs(chroma_a - 128), abs(chroma_b - 128)
    with np.errstate(invalid="ignore"):
        mean = (chroma_a * strength_a + chroma_b * strength_b) / (strength_a + strength_b)
    chroma = np.where(strength_a + strength_b == 0, 128, mean).astype(np.uint8)
    ycrcb = np.dstack([np.full((64, 64), 128, np.uint8), chroma])
    assert np.array_equal(merged.pixels, cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB))


def test_grey_pair_stays_grey_also_when_stored_as_rgb():
    a = Picture(noise(9, 13))
    b = Picture(np.dstack([noise(9, 13, seed=1)] * 3))
    fused = noise(9, 13, seed=2)
    merged = merge_colours(a, b, fused)
    assert merged.pixels.ndim == 2
    assert np.array_equal(merged.pixels, fused)


def test_shallow_picture_is_deepened():
    shallow, deep = solid(200, 40, 40), Picture(noise(9, 13, dtype=np.uint16))
    merged = merge_colours(shallow, deep, shallow.deepen().luminance())
    assert merged.pixels.dtype == np.uint16
    assert abs(merged.pixels / 257 - shallow.pixels).max() < 2


def test_alpha_of_either_or_the_larger():
    pixels, one, two = noise(9, 13), noise(9, 13, seed=3), noise(9, 13, seed=4)
    plain = Picture(pixels)
    assert merge_colours(plain, plain, pixels).alpha is None
    assert np.array_equal(merge_colours(Picture(pixels, one), plain, pixels).alpha, one)
    assert np.array_equal(merge_colours(plain, Picture(pixels, two), pixels).alpha, two)
    both = merge_colours(Picture(pixels, one), Picture(pixels, two), pixels)
    assert np.array_equal(both.alpha, np.maximum(one, two))


def test_sources_are_left_alone():
    a, b = Picture(noise(9, 13, 3)), Picture(noise(9, 13, 3, seed=1))
    before = a.pixels.copy(), b.pixels.copy()
    merge_colours(a, b, noise(9, 13))
    assert np.array_equal(a.pixels, before[0])
    assert np.array_equal(b.pixels, before[1])
