import numpy as np
import pytest
import torch
from PIL import Image

import fusion_lab
from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.errors import FusionLabError
from fusion_lab.inference import fuser as fuser_module
from fusion_lab.inference import weights
from fusion_lab.inference.fuser import Fuser, fuse, fuse_files
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


@pytest.fixture
def folders(tmp_path):
    for i, name in enumerate(("One.png", "two.v2.png")):
        write(tmp_path / "a" / name, *SIZE, 3, seed=i)
        write(tmp_path / "b" / name.lower(), *SIZE, seed=i + 9)
    return tmp_path / "a", tmp_path / "b"


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
    monkeypatch.setattr(weights, "SHIPPED_WEIGHTS", tmp_path / "tita.safetensors")
    expected = fuse(GREY, COLOUR, network)
    assert np.array_equal(np.asarray(fusion_lab.fuse(GREY, COLOUR)), np.asarray(expected))


def test_folders(folders, tmp_path, fuser, capsys):
    out = tmp_path / "deep" / "out"
    written = fuse_files(*folders, out, fuser, progress=True)
    assert written == [out / "One.png", out / "two.v2.png"]
    assert sorted(path.name for path in out.iterdir()) == ["One.png", "two.v2.png"]
    for path, name in zip(written, ("one.png", "two.v2.png"), strict=True):
        expected = fuser(read_picture(folders[0] / path.name), read_picture(folders[1] / name))
        assert np.array_equal(read_picture(path).pixels, expected.pixels)
    captured = capsys.readouterr()
    assert "Fusing" in captured.err
    assert not captured.out


def test_existing_results_are_replaced(folders, tmp_path, fuser):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "One.jpg").write_bytes(b"old")
    fuse_files(*folders, tmp_path / "out", fuser, suffix=".jpg")
    assert read_picture(tmp_path / "out" / "One.jpg").size == SIZE
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_single_images(tmp_path, fuser):
    a, b = tmp_path / "Left.png", tmp_path / "right.png"
    write(a, *SIZE)
    write(b, *SIZE, 3, seed=1)
    assert fuse_files(a, b, tmp_path / "new" / "fused.tif", fuser) == [tmp_path / "new" / "fused.tif"]
    assert fuse_files(a, b, tmp_path / "new", fuser) == [tmp_path / "new" / "Left.png"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"fused.tif", "Left.png"}


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 3)])
def test_16_bit_files_keep_their_depth(tmp_path, suffix, shape):
    a = write(tmp_path / f"a{suffix}", *shape, dtype=np.uint16)
    fuse_files(tmp_path / f"a{suffix}", tmp_path / f"a{suffix}", tmp_path / f"out{suffix}", Fuser(First()))
    fused = read_picture(tmp_path / f"out{suffix}")
    assert fused.pixels.dtype == np.uint16
    assert np.array_equal(fused.pixels, a.pixels) or len(shape) == 3
    # OpenCV's fixed-point YCrCb is exact to about an eighth of an 8-bit level.
    assert abs(fused.luminance().astype(int) - a.luminance()).max() <= 32


def test_alpha_is_kept_in_files(tmp_path, fuser):
    alpha = noise(*SIZE, seed=5)
    write_picture(Picture(COLOUR, alpha), tmp_path / "a.png")
    write(tmp_path / "b.png", *SIZE)
    fuse_files(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "out.png", fuser)
    assert np.array_equal(read_picture(tmp_path / "out.png").alpha, alpha)


def test_mistakes_are_told_before_anything_is_fused(folders, tmp_path, monkeypatch, fuser):
    a, b = folders
    image = a / "One.png"
    file = tmp_path / "file"
    file.write_text("a file")
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(fuser_module, "fuse_luminance", lambda *_: pytest.fail("fused"))
    before = sorted(tmp_path.rglob("*"))
    for arguments, told in [
        ((a, image, tmp_path / "out"), "two images or two folders"),
        ((image, b, tmp_path / "out.png"), "two images or two folders"),
        ((a, tmp_path / "absent", tmp_path / "out"), "absent does not exist"),
        ((a, tmp_path / "empty", tmp_path / "out"), "No images"),
        ((a, b, file), "is a file"),
        ((a, b, file / "below"), "file stands in its place"),
        ((a, b, a), "would replace a source"),
        ((image, b / "one.png", image), "would replace a source"),
        ((image, b / "one.png", a), "would replace a source"),
        ((image, b / "one.png", tmp_path / "out"), "no image suffix"),
        ((image, b / "one.png", tmp_path / "out.gif"), "no image suffix"),
        ((a, b, tmp_path / "out", fuser, ".gif"), "no image suffix"),
    ]:
        with pytest.raises(FusionLabError, match=told):
            fuse_files(*arguments[:3], *(arguments[3:] or [fuser]))
    assert sorted(tmp_path.rglob("*")) == before


def test_unpaired_names_are_told(folders, tmp_path, fuser):
    write(folders[1] / "three.png", *SIZE)
    with pytest.raises(FusionLabError, match=r"no partner.*three\.png"):
        fuse_files(*folders, tmp_path / "out", fuser)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("harm", ["size", "broken", "small"])
def test_error_names_the_file_and_leaves_whole_results_only(folders, tmp_path, fuser, harm):
    if harm == "size":
        write(folders[1] / "two.v2.png", 10, 10)
    elif harm == "broken":
        (folders[1] / "two.v2.png").write_bytes((folders[1] / "two.v2.png").read_bytes()[:60])
    else:
        for folder in folders:
            write(folder / "two.v2.png", 7, 7)
    with pytest.raises(FusionLabError, match=r"two\.v2\.png"):
        fuse_files(*folders, tmp_path / "out", fuser)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["One.png"]


def test_interruption_leaves_no_half_result(folders, tmp_path, fuser, monkeypatch):
    from fusion_lab import files

    def stop(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        fuse_files(*folders, tmp_path / "out", fuser)
    assert not list((tmp_path / "out").iterdir())
