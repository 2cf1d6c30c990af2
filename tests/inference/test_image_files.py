import numpy as np
import pytest
import tifffile

from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.data.rasters import Raster, read_raster
from fusion_lab.errors import FusionLabError
from fusion_lab.inference import fuser as fuser_module
from fusion_lab.inference.fuser import Fuser
from fusion_lab.inference.image_files import fuse_files
from fusion_lab.networks import Average, FusionNetwork

SIZE = (9, 13)


class First(FusionNetwork):
    """Gives the first source back."""

    def forward(self, source_a, source_b):
        return source_a


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
    write_picture(Picture(noise(*SIZE, 3), alpha), tmp_path / "a.png")
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
        ((a, b, tmp_path / "out.png"), "named like an image"),
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


def write_bands(path, bands, size=SIZE, top=2000, seed=0, **options):
    values = np.random.default_rng(seed).integers(0, top, (*size, bands)).astype(np.uint16)
    path.parent.mkdir(exist_ok=True)
    options = {"photometric": "minisblack", "planarconfig": "contig", **options} if bands > 1 else {}
    tifffile.imwrite(path, values if bands > 1 else values[..., 0], **options)
    return values


@pytest.fixture
def satellite(tmp_path):
    """A panchromatic image, and four bands on a grid half as fine."""
    pan = write_bands(tmp_path / "pan.tif", 1, (16, 24))
    bands = write_bands(tmp_path / "bands.tif", 4, (8, 12), seed=1)
    return tmp_path / "pan.tif", tmp_path / "bands.tif", pan, bands


def test_bands_of_a_tiff(satellite, tmp_path, fuser):
    pan_file, bands_file, pan, bands = satellite
    fuse_files(pan_file, bands_file, tmp_path / "fused.tif", fuser)
    fused = read_raster(tmp_path / "fused.tif").values
    assert np.array_equal(fused, fuser.fuse_bands(Raster(pan), Raster(bands)).values)
    assert (fused.shape, fused.dtype) == ((16, 24, 4), np.uint16)


def test_folders_of_bands_and_pictures(satellite, tmp_path, fuser):
    for folder, stem in (("a", "pan"), ("b", "bands")):
        (tmp_path / folder).mkdir()
        (tmp_path / f"{stem}.tif").rename(tmp_path / folder / "scene.tif")
    write(tmp_path / "a" / "street.png", *SIZE, 3)
    write(tmp_path / "b" / "street.png", *SIZE)
    out = tmp_path / "out"
    assert fuse_files(tmp_path / "a", tmp_path / "b", out, fuser) == [out / "scene.tif", out / "street.png"]
    assert read_raster(out / "scene.tif").bands == 4
    assert read_picture(out / "street.png").pixels.shape == (*SIZE, 3)


def test_colours_band_by_band(tmp_path, fuser):
    pan, colours = write(tmp_path / "a.png", *SIZE), write(tmp_path / "b.png", *SIZE, 3, seed=1)
    fuse_files(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "out.tif", fuser, bands=True)
    fused = read_raster(tmp_path / "out.tif").values
    assert abs(fused - (pan.pixels[..., None] / 2 + colours.pixels / 2)).max() <= 0.51


def test_one_raster_twice(satellite, tmp_path, fuser):
    fuse_files(satellite[1], satellite[1], tmp_path / "out.tif", fuser)
    assert np.array_equal(read_raster(tmp_path / "out.tif").values, satellite[3])


def test_mistakes_with_bands_are_told(satellite, tmp_path, fuser):
    pan, bands, *_ = satellite
    write(tmp_path / "grey.png", *SIZE)
    before = sorted(tmp_path.rglob("*"))
    for arguments, told in [
        ((pan, bands, tmp_path / "out.png", fuser), r"out\.png holds bands, which only TIFF keeps"),
        ((bands, pan, tmp_path / "out.tif", fuser), r"bands\.tif and .*pan\.tif cannot be fused: .*panchromatic image"),
        ((tmp_path / "grey.png", bands, tmp_path / "out.tif", fuser), "One source holds uint8, the other uint16"),
        ((bands, bands, tmp_path / "out.tif", Fuser(Average(), 1e-9)), r"bands\.tif cannot be fused: .*memory limit"),
        ((pan, pan, tmp_path / "out.tif", Fuser(Average(), white=9)), r"white \(9\) is only for"),
    ]:
        with pytest.raises(FusionLabError, match=told):
            fuse_files(*arguments)
    assert sorted(tmp_path.rglob("*")) == before


def test_suffix_needs_no_dot(folders, tmp_path, fuser):
    assert fuse_files(*folders, tmp_path / "out", fuser, "bmp")[0] == tmp_path / "out" / "One.bmp"


def test_bands_that_are_declared_as_colours_are_thought_of(tmp_path, fuser):
    """Four bands as tifffile writes them unless told otherwise."""
    tifffile.imwrite(tmp_path / "pan.tif", noise(32, 32))
    tifffile.imwrite(tmp_path / "ms.tif", noise(16, 16, 4), photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(FusionLabError, match=r"differ in size.* If these are spectral bands, fuse them with --bands\."):
        fuse_files(tmp_path / "pan.tif", tmp_path / "ms.tif", tmp_path / "out.tif", fuser)
    fuse_files(tmp_path / "pan.tif", tmp_path / "ms.tif", tmp_path / "out.tif", fuser, bands=True)
    assert read_raster(tmp_path / "out.tif").values.shape == (32, 32, 4)
