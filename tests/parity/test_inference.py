"""The official ``test.py`` of TITA, reproduced from its own pictures and weights."""

import numpy as np
import pytest
import torch

from fusion_lab.data.images import read_picture
from fusion_lab.inference.colour import TITAColours
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.image_files import fuse_files
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.inference.weights import load_network

pytestmark = pytest.mark.shared
PAIRS = {
    "LLVIP_a": ("LLVIP_visible_test_a", "LLVIP_infrared_test_a"),
    "MEFB_b": ("MEF_input_B_b", "MEF_input_A_b"),
    "MFFB_c": ("MFF_input_B_c", "MFF_input_A_c"),
}


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "tita"


@pytest.fixture(scope="module")
def intermediate(golden):
    return np.load(golden / "test_py" / "intermediate.npz")


@pytest.fixture(scope="module")
def network(golden):
    return load_network(golden / "weights.safetensors")


@pytest.fixture(params=PAIRS)
def name(request):
    return request.param


@pytest.fixture
def paths(golden, name):
    return [golden / "test_py" / "in" / f"{stem}.png" for stem in PAIRS[name]]


def test_fused_luminance(network, paths, name, intermediate):
    a, b = (torch.from_numpy(read_picture(path).luminance() / np.float32(255))[None, None] for path in paths)
    fused = fuse_luminance(network, a, b)[0, 0].clamp(0, 1).numpy()
    np.testing.assert_allclose(fused, intermediate[f"{name}/Y_float"].clip(0, 1), atol=2e-5)


def test_colours_are_equal(paths, name, intermediate):
    a, b = map(read_picture, paths)
    merged = TITAColours().merge(a, b, intermediate[f"{name}/Y_uint8"] / 255)
    assert np.array_equal(merged.pixels[..., ::-1], intermediate[f"{name}/bgr"])


def test_files_within_one_grey_level(network, paths, name, golden, tmp_path):
    fuse_files(*paths, tmp_path / "fused.png", Fuser(network))
    ours = read_picture(tmp_path / "fused.png").pixels.astype(int)
    official = read_picture(golden / "test_py" / "out" / f"{name}.png").pixels
    assert abs(ours - official).max() <= 1
    assert (ours != official).any(-1).mean() < 0.01
