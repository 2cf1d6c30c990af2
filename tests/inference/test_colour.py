import cv2
import numpy as np
import pytest

from fusion_lab.data.images import Picture
from fusion_lab.inference.colour import GIFNetColours, TITAColours, colour_rule
from fusion_lab.networks import TITA, Average, GIFNet

RULES = [TITAColours(), GIFNetColours()]
each_rule = pytest.mark.parametrize("rule", RULES, ids=["tita", "gifnet"])


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def solid(*rgb, dtype=np.uint8):
    return Picture(np.full((9, 13, 3), rgb, dtype))


def merge(rule, a, b, levels):
    """Merge around a luminance that is given in levels."""
    # A little more than a whole level: the quotient must not fall below it.
    return rule.merge(a, b, np.minimum((levels + 1e-6) / np.iinfo(levels.dtype).max, 1))


def test_networks_name_their_rule():
    assert isinstance(colour_rule(GIFNet(2, 2, 4)), GIFNetColours)
    assert isinstance(colour_rule(Average()), TITAColours)
    assert TITA.colour_rule == "tita"


@each_rule
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_with_grey_keeps_the_colour(rule, dtype):
    top = np.iinfo(dtype).max
    colour = Picture(noise(9, 13, 3, dtype=dtype) // 4 + top // 3)
    grey = Picture(noise(9, 13, dtype=dtype, seed=1))
    for pair in ((colour, grey), (grey, colour)):
        merged = merge(rule, *pair, rule.luminance(colour))
        # The coefficients of GIFNet's release do not quite undo each other.
        assert abs(merged.pixels.astype(int) - colour.pixels).max() <= max(4, top // 4096)
        assert merged.pixels.dtype == dtype


def test_stronger_colour_weighs_more():
    red, faint_blue = solid(220, 30, 30), solid(120, 120, 140)
    merged = merge(TITAColours(), red, faint_blue, red.luminance())
    assert merged.pixels[..., 0].min() > 180
    assert merged.pixels[..., 1:].max() < 90


def test_mean_is_cut_not_rounded():
    rng = np.random.default_rng(0)
    a, b = (Picture(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(2))
    merged = merge(TITAColours(), a, b, np.full((64, 64), 128, np.uint8))

    chroma_a, chroma_b = (cv2.cvtColor(p.pixels, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(float) for p in (a, b))
    strength_a, strength_b = abs(chroma_a - 128), abs(chroma_b - 128)
    with np.errstate(invalid="ignore"):
        mean = (chroma_a * strength_a + chroma_b * strength_b) / (strength_a + strength_b)
    chroma = np.where(strength_a + strength_b == 0, 128, mean).astype(np.uint8)
    ycrcb = np.dstack([np.full((64, 64), 128, np.uint8), chroma])
    assert np.array_equal(merged.pixels, cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2RGB))


@each_rule
def test_grey_pair_stays_grey_also_when_stored_as_rgb(rule):
    a = Picture(noise(9, 13))
    b = Picture(np.dstack([noise(9, 13, seed=1)] * 3))
    fused = noise(9, 13, seed=2)
    merged = merge(rule, a, b, fused)
    assert merged.pixels.ndim == 2
    assert np.array_equal(merged.pixels, fused)


@each_rule
def test_shallow_picture_is_deepened(rule):
    shallow, deep = solid(200, 40, 40), Picture(noise(9, 13, dtype=np.uint16))
    merged = merge(rule, shallow, deep, rule.luminance(shallow.deepen()))
    assert merged.pixels.dtype == np.uint16
    assert abs(merged.pixels / 257 - shallow.pixels).max() < 2


@each_rule
def test_alpha_of_either_or_the_larger(rule):
    pixels, one, two = noise(9, 13), noise(9, 13, seed=3), noise(9, 13, seed=4)
    plain = Picture(pixels)
    assert merge(rule, plain, plain, pixels).alpha is None
    assert np.array_equal(merge(rule, Picture(pixels, one), plain, pixels).alpha, one)
    assert np.array_equal(merge(rule, plain, Picture(pixels, two), pixels).alpha, two)
    both = merge(rule, Picture(pixels, one), Picture(pixels, two), pixels)
    assert np.array_equal(both.alpha, np.maximum(one, two))


def test_what_gifnet_cuts_and_what_it_rounds():
    grey, colour = Picture(noise(9, 13)), Picture(noise(9, 13, 3))
    fused = np.full((9, 13), 99.9 / 255)
    assert set(np.unique(GIFNetColours().merge(grey, grey, fused).pixels)) == {99}
    tinted = GIFNetColours().merge(grey, Picture(np.full((9, 13, 3), (100, 100, 101), np.uint8)), fused)
    assert tinted.pixels[0, 0].tolist() == [100, 100, 101]
    assert (GIFNetColours().luminance(colour) <= TITAColours().luminance(colour)).all()
    assert np.array_equal(TITAColours().merge(grey, grey, fused).pixels, np.full((9, 13), 100))


def test_gifnet_weighs_colours_by_their_distance_from_128():
    blue, yellow = solid(100, 100, 180), solid(180, 180, 100)
    cb = np.array([[-0.169, -0.331, 0.5]]) @ np.array([[100, 100, 180], [180, 180, 100]]).T
    expected = (cb * abs(cb - 128)).sum() / abs(cb - 128).sum()
    merged = merge(GIFNetColours(), blue, yellow, np.full((9, 13), 128, np.uint8)).pixels.astype(float)
    assert merged[0, 0, 2] == np.rint(128 + 1.772 * expected)
    assert expected < 0


@each_rule
def test_grey_stored_as_rgb_leaves_the_colour_alone(rule):
    colour, grey = Picture(noise(9, 13, 3)), noise(9, 13, seed=1)
    fused = noise(9, 13, seed=2)
    stored = merge(rule, colour, Picture(np.dstack([grey] * 3)), fused)
    assert np.array_equal(stored.pixels, merge(rule, colour, Picture(grey), fused).pixels)
    assert np.array_equal(rule.luminance(Picture(np.dstack([grey] * 3))), grey)


@each_rule
def test_sources_are_left_alone(rule):
    a, b = Picture(noise(9, 13, 3)), Picture(noise(9, 13, 3, seed=1))
    before = a.pixels.copy(), b.pixels.copy()
    merge(rule, a, b, noise(9, 13))
    assert np.array_equal(a.pixels, before[0])
    assert np.array_equal(b.pixels, before[1])


@each_rule
def test_parts_have_the_colours_of_the_whole(rule, monkeypatch):
    a, b = noise(2, 23, 17, 3)
    # A part without colours of a picture that has some.
    a[:8] = a[:8, :, :1]
    for sources in ([a, b], [a, b[..., 0]], [b, np.dstack([a[..., 0]] * 3), a]):
        pictures = [Picture(each) for each in sources]
        fused = noise(23, 17, seed=1) / 255
        whole = rule.merge_all(pictures, fused)
        monkeypatch.setattr("fusion_lab.inference.colour.base._PART", 50)
        assert np.array_equal(rule.merge_all(pictures, fused).pixels, whole.pixels)
        monkeypatch.undo()
