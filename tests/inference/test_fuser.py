import numpy as np
import pytest
import torch
from PIL import Image

import fusion_lab
from fusion_lab.data.images import Picture, write_picture
from fusion_lab.errors import FusionLabError
from fusion_lab.inference import weights
from fusion_lab.inference.fuser import Fuser, fuse
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import TITA, Average, FusionNetwork

SIZE = (9, 13)


class First(FusionNetwork):
    """Gives the first source back."""

    def forward(self, source_a, source_b):
        return source_a


class Undefined(FusionNetwork):
    def forward(self, source_a, source_b):
        return source_a * float("nan")


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def write(path, *shape, seed=0, dtype=np.uint8):
    picture = Picture(noise(*shape, seed=seed, dtype=dtype))
    write_picture(picture, path)
    return picture


@pytest.fixture
def fuser():
    return Fuser(Average())


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_level_survives(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(16, -1)
    fused = Fuser(First())(Picture(levels), Picture(levels[::-1]))
    assert np.array_equal(fused.pixels, levels)
    assert fused.pixels.dtype == dtype


def test_colour_with_deep_grey_gives_deep_colour(fuser):
    fused = fuser(Picture(noise(*SIZE, 3)), Picture(noise(*SIZE, dtype=np.uint16)))
    assert fused.pixels.shape == (*SIZE, 3)
    assert fused.pixels.dtype == np.uint16


def test_levels_outside_the_range_are_clamped():
    class Loud(FusionNetwork):
        def forward(self, source_a, source_b):
            return source_a * 4 - 1.5

    fused = Fuser(Loud())(Picture(noise(*SIZE)), Picture(noise(*SIZE)))
    assert {0, 255} <= set(np.unique(fused.pixels))


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (37, 53)])
def test_small_tita_on_small_and_odd_sizes(size):
    network = TITA(12, 2, num_extraction_blocks=1, num_interaction_blocks=2, num_reconstruction_blocks=1)
    fused = Fuser(network)(Picture(noise(*size, 3)), Picture(noise(*size)))
    assert fused.pixels.shape == (*size, 3)


def test_undefined_levels_are_told():
    with pytest.raises(FusionLabError, match="infinite or undefined"):
        Fuser(Undefined())(Picture(noise(*SIZE)), Picture(noise(*SIZE)))


def test_different_sizes_are_told(fuser):
    with pytest.raises(FusionLabError, match="13x9 and 14x9"):
        fuser(Picture(noise(9, 13)), Picture(noise(9, 14)))


GREY = noise(*SIZE)
COLOUR = noise(*SIZE, 3)


@pytest.mark.parametrize(
    ("source", "mode"),
    [
        (GREY, "L"),
        (GREY.astype(np.float32) / 255, "L"),
        (GREY / 255, "L"),
        (GREY.astype(np.uint16) * 257, "I;16"),
        (COLOUR, "RGB"),
        (np.dstack([COLOUR, GREY]), "RGBA"),
        (COLOUR.astype(np.uint16) * 257, "RGB"),
        (Image.fromarray(GREY), "L"),
        (Image.fromarray(COLOUR), "RGB"),
        (Image.fromarray(np.dstack([GREY, GREY])), "LA"),
        (torch.from_numpy(GREY)[None], "L"),
        (torch.from_numpy(GREY / 255)[None, None], "L"),
        (torch.from_numpy(COLOUR).permute(2, 0, 1), "RGB"),
        (torch.from_numpy(COLOUR).permute(2, 0, 1)[None] / 255, "RGB"),
        (torch.from_numpy(GREY)[None].bfloat16() / 255, "L"),
    ],
)
def test_kinds_of_sources(source, mode):
    fused = fuse(source, source, First())
    assert fused.mode == mode
    assert fused.size == SIZE[::-1]
    expected = GREY if mode[0] in "LI" else COLOUR
    levels = np.asarray(fused.convert("L") if mode == "LA" else fused).astype(int)
    levels = levels // 257 if mode == "I;16" else levels[..., :3] if expected.ndim == 3 else levels
    # Colours go through YCrCb, bfloat16 has 8 bits of which one is lost.
    assert abs(levels - expected).max() <= 3


def test_path_as_text_and_as_path(tmp_path):
    picture = write(tmp_path / "a.png", *SIZE)
    fused = fuse(str(tmp_path / "a.png"), tmp_path / "a.png", First())
    assert np.array_equal(np.asarray(fused), picture.pixels)


def test_pillow_image_is_turned_upright():
    image = Image.fromarray(GREY)
    image.getexif()[274] = 6
    assert np.array_equal(np.asarray(fuse(image, image, First())), np.rot90(GREY, -1))


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (np.zeros((2, 9, 13, 3), np.uint8), "shape"),
        (np.zeros((9, 13, 2), np.uint8), "shape"),
        (np.zeros((9, 0), np.uint8), "shape"),
        (np.zeros(SIZE, np.int64), "int64"),
        (np.zeros(SIZE, bool), "bool"),
        (np.full(SIZE, 2.0), r"from 2 to 2"),
        (np.full(SIZE, np.nan), "nan"),
        (torch.zeros(SIZE), r"give \(1, H, W\)"),
        (torch.zeros(2, 1, *SIZE), "one image"),
        (torch.zeros(4, *SIZE), "shape"),
        ([[0, 1]], "is a list"),
        ("absent.png", "does not exist"),
    ],
)
def test_other_sources_are_told(source, told):
    for pair in ((source, GREY), (GREY, source)):
        with pytest.raises(FusionLabError, match=told):
            fuse(*pair, First())


def test_sizes_of_arrays_are_told():
    with pytest.raises(FusionLabError, match="13x9 and 9x13"):
        fuse(GREY, GREY.T, First())


def test_shipped_network_is_the_default(tmp_path, monkeypatch):
    network = TITA(12, 2, num_extraction_blocks=1, num_interaction_blocks=2, num_reconstruction_blocks=1)
    save_network(network, tmp_path / "tita.safetensors")
    monkeypatch.setattr(weights, "SHIPPED_WEIGHTS", tmp_path)
    expected = fuse(GREY, COLOUR, network)
    assert np.array_equal(np.asarray(fusion_lab.fuse(GREY, COLOUR)), np.asarray(expected))
