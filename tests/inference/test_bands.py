import numpy as np
import pytest
import torch

from fusion_lab.data.rasters import Raster
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.bands import fuse_bands, white_level
from fusion_lab.inference.fuser import Fuser
from fusion_lab.networks import TITA, Average, FusionNetwork
from tests.tiny import NETWORK

SIZE = (32, 48)
PLACE = ((33550, 12, 3, (0.5, 0.5, 0.0), True),)


class Second(FusionNetwork):
    """Gives the second source back."""

    def forward(self, source_a, source_b):
        return source_b


def raster(bands, size=SIZE, dtype=np.uint16, top=2000, seed=0):
    values = np.random.default_rng(seed).uniform(0, top, (*size, bands))
    return Raster(values.astype(dtype))


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 2000), (np.float32, 0.7), (np.float32, 900)])
@pytest.mark.parametrize("bands", [1, 2, 4, 7])
def test_units_come_back(dtype, top, bands):
    pan, spectral = raster(1, dtype=dtype, top=top), raster(bands, dtype=dtype, top=top, seed=1)
    fused = fuse_bands(Second(), pan, spectral)
    assert fused.values.dtype == dtype
    np.testing.assert_allclose(fused.values, spectral.values, rtol=1e-6)
    mean = fuse_bands(Average(), pan, spectral).values
    np.testing.assert_allclose(mean, (pan.values.astype(float) + spectral.values) / 2, atol=0.51, rtol=1e-6)


def test_every_level_of_16_bits_survives():
    levels = Raster(np.arange(2**16, dtype=np.uint16).reshape(256, 256, 1))
    assert np.array_equal(fuse_bands(Second(), levels, levels).values, levels.values)


def test_whole_numbers_by_the_rule_of_the_network():
    class Cutting(Average):
        colour_rule = "gifnet"

    a, b = (Raster(np.full((8, 8, 1), value, np.uint16)) for value in (1003, 1000))
    assert set(fuse_bands(Average(), a, b).values.flat) == {1002}
    assert set(fuse_bands(Cutting(), a, b).values.flat) == {1001}


@pytest.mark.parametrize(
    ("a", "b", "dtype", "white"),
    [(3, 9, np.uint8, 255), (100, 2000, np.uint16, 2047), (2047, 1, np.uint16, 2047), (2048, 1, np.uint16, 4095),
     (7, 3, np.uint16, 255), (65535, 1, np.uint16, 65535), (0, 0, np.uint16, 255), (0.3, 1, np.float32, 1),
     (0.3, 1.5, np.float32, 255), (1023.5, 3, np.float32, 2047)],
)  # fmt: skip
def test_white(a, b, dtype, white):
    assert white_level(*(Raster(np.full((8, 8, 1), value, dtype)) for value in (a, b))) == white


def test_white_that_is_given_cuts_what_is_brighter():
    pan, spectral = raster(1), raster(3, seed=1)
    fused = Fuser(Second(), white=1000).fuse_bands(pan, spectral)
    assert np.array_equal(fused.values, np.minimum(spectral.values, 1000))
    with pytest.raises(FusionLabError, match="`white = -1`"):
        Fuser(Second(), white=-1)


def test_the_network_sees_levels_as_its_white_says():
    seen = []

    class Seeing(FusionNetwork):
        def forward(self, source_a, source_b):
            seen.append((source_a.max().item(), source_b.max().item()))
            return source_a

    pan, spectral = (Raster(np.full((8, 8, 1), value, np.uint16)) for value in (2047, 1023))
    fuse_bands(Seeing(), pan, spectral)
    assert seen == [(1.0, pytest.approx(1023 / 2047))]


def test_coarse_bands_come_onto_the_grid():
    # A slope stays a slope, and lies where it lay: pixels of the coarse raster cover four by four of the fine one.
    coarse = np.repeat((np.arange(12) * 100.0 + 50)[None, :, None], 8, 0).astype(np.float32)
    pan = Raster(np.zeros((32, 48, 1), np.float32), PLACE)
    fused = fuse_bands(Second(), pan, Raster(np.repeat(coarse, 2, 2)), white=2047)
    expected = (np.arange(48) + 0.5) * 25
    assert fused.values.shape == (32, 48, 2)
    np.testing.assert_allclose(fused.values[:, 8:-8, 1], np.broadcast_to(expected[8:-8], (32, 32)), atol=0.01)
    assert fused.geotags == PLACE


@pytest.mark.parametrize(
    ("size", "low"), [(SIZE, (8, 12)), ((33, 50), (8, 12)), ((33, 50), (9, 13)), (SIZE, (10, 16)), (SIZE, SIZE)]
)
def test_sizes_may_be_rounded(size, low):
    assert fuse_bands(Average(), raster(1, size), raster(3, low)).values.shape == (*size, 3)


def test_rasters_of_equally_many_bands():
    a, b = raster(3), raster(3, seed=1)
    fused = fuse_bands(Average(), a, b, white=2047).values
    np.testing.assert_allclose(fused, (a.values.astype(float) + b.values) / 2, atol=0.51)


def test_tiles_change_nothing_for_a_local_network():
    pan, spectral = raster(1, (70, 90)), raster(2, (35, 45), seed=1)
    limit = Average.bytes_per_pixel * 32 * 32 / 2**30
    tiled, whole = (fuse_bands(Average(), pan, spectral, memory_limit=each).values for each in (limit, 6))
    # Blending may tip a half.
    assert abs(tiled.astype(int) - whole).max() <= 1
    assert (tiled != whole).mean() < 0.01


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (raster(1), raster(3, dtype=np.uint8, top=200), "One source holds uint16, the other uint8"),
        (raster(4), raster(1), "4 bands and the second 1: give a panchromatic image first"),
        (raster(3), raster(4), "3 bands and the second 4"),
        (raster(1), raster(4, (8, 8)), "8x8 pixels do not fit onto an image of 48x32"),
        (raster(1, (8, 12)), raster(4), "48x32 pixels do not fit onto an image of 12x8"),
        (raster(1, (7, 12)), raster(4, (7, 12)), "too small"),
    ],
)
def test_what_does_not_fit_is_told(a, b, told):
    with pytest.raises(FusionLabError, match=told):
        fuse_bands(Average(), a, b)


def test_undefined_levels_are_told():
    class Undefined(FusionNetwork):
        def forward(self, source_a, source_b):
            return source_a * float("nan")

    with pytest.raises(FusionLabError, match="infinite or undefined"):
        fuse_bands(Undefined(), raster(1), raster(2))


def test_bands_have_one_order_in_a_network_that_sorts_its_sources():
    torch.manual_seed(0)
    network = TITA(**NETWORK, blend=True, brighter_first=True).eval()
    rng = np.random.default_rng(0)
    pan = Raster(rng.integers(90, 130, (16, 24, 1)).astype(np.uint8))
    # One band is brighter than the panchromatic image, but not their mean.
    bands = Raster((rng.integers(0, 40, (16, 24, 3)) + np.array([20, 150, 50])).astype(np.uint8))
    fused = fuse_bands(network, pan, bands)
    network.brighter_first = False
    assert np.array_equal(fused.values, fuse_bands(network, pan, bands).values)
