"""The official ``test.py`` of GIFNet, reproduced from its own pictures and weights."""

import numpy as np
import pytest
import tifffile

from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.data.rasters import Raster, read_raster
from fusion_lab.inference.colour import GIFNetColours
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.image_files import fuse_files
from fusion_lab.inference.weights import load_network

pytestmark = pytest.mark.shared

COLOURED = ("ivif", "mfif", "meif", "medical", "nirvis")
BANDS = tuple(f"remote_b{i}" for i in range(1, 5))


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "gifnet"


@pytest.fixture(scope="module")
def fuser(golden):
    return Fuser(load_network(golden / "Final.model"))


def sources(golden, task):
    """The visible and the infrared source, or what plays their parts."""
    return [golden / "inputs" / task / role / "1.png" for role in ("vis", "ir")]


def official(golden, task):
    return read_picture(golden / "official_png" / task / "1.png").pixels.astype(int)


@pytest.mark.parametrize("task", COLOURED)
def test_files_within_one_grey_level(golden, fuser, task, tmp_path):
    fuse_files(*sources(golden, task), tmp_path / "fused.png", fuser)
    ours = read_picture(tmp_path / "fused.png").pixels.astype(int)
    difference = abs(ours - official(golden, task))
    assert difference.max() <= 1
    assert (difference.reshape(len(ours), 200, -1).max(-1) > 0).mean() < 1e-3


@pytest.mark.parametrize("task", COLOURED)
def test_luminance_and_colours_are_equal(golden, task):
    stored, rule = np.load(golden / f"{task}.npz"), GIFNetColours()
    vis, ir = map(read_picture, sources(golden, task))
    assert np.array_equal(rule.luminance(vis), stored["vis_y"])
    assert np.array_equal(rule.luminance(ir), stored["ir_y"])
    merged = rule.merge(vis, ir, stored["fused"].astype(float))
    assert np.array_equal(merged.pixels, official(golden, task))


def test_bands_of_one_tiff(golden, fuser, tmp_path):
    """All four bands at once, stored as the release stores them: with the colour type CMYK."""
    pairs = [sources(golden, task) for task in BANDS]
    bands = np.dstack([read_picture(band).pixels for _, band in pairs])
    tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="separated")
    fuse_files(pairs[0][0], tmp_path / "bands.tif", tmp_path / "fused.tif", fuser)
    fused = read_raster(tmp_path / "fused.tif").values
    expected = np.dstack([official(golden, task) for task in BANDS])
    assert fused.dtype == np.uint8
    assert abs(fused - expected).max() <= 1
    assert (fused != expected).mean() < 1e-3


def test_units_of_the_sensor_change_nothing(golden, fuser):
    """The same band as 11 bits in uint16, and as floating-point numbers."""
    pan, band = (read_picture(path).pixels[:64, :72, None] for path in sources(golden, BANDS[0]))
    flat = fuser.fuse_bands(Raster(pan), Raster(band)).values
    for unit, dtype in ((8, np.uint16), (0.5, np.float32)):
        rasters = [Raster(values.astype(dtype) * dtype(unit)) for values in (pan, band)]
        fused = Fuser(fuser.network, white=255 * unit).fuse_bands(*rasters).values
        assert fused.dtype == dtype
        assert abs(np.floor(fused / unit + 1e-4) - flat).max() <= 1
        assert (np.floor(fused / unit + 1e-4) != flat).mean() < 1e-3


def test_enhancement(golden, fuser, tmp_path):
    stored = np.load(golden / "enhance_XX.npz")
    write_picture(Picture(stored["nirvis_vis_32_in"]), tmp_path / "in.png")
    fuse_files(tmp_path / "in.png", tmp_path / "in.png", tmp_path / "out.png", fuser)
    enhanced = read_picture(tmp_path / "out.png").pixels
    # Cut, and so within rounding errors of the whole number below.
    assert abs(enhanced + 0.5 - stored["nirvis_vis_32_out"].astype(float) * 255).max() < 0.51
