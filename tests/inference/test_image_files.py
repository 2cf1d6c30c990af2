import re

import numpy as np
import pytest
import tifffile
import torch

from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.data.rasters import Raster, read_raster
from fusion_lab.errors import FusionLabError, FusionLabWarning
from fusion_lab.inference import fuser as fuser_module
from fusion_lab.inference.colour import colour_rule
from fusion_lab.inference.fuser import Fuser, paint
from fusion_lab.inference.image_files import fuse_files
from fusion_lab.networks import TITA, Average, FusionNetwork, GIFNet

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
    written = fuse_files(*folders, out, fuser, progress=True).written
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
    assert fuse_files(a, b, tmp_path / "new" / "fused.tif", fuser).written == [tmp_path / "new" / "fused.tif"]
    assert fuse_files(a, b, tmp_path / "new", fuser).written == [tmp_path / "new" / "Left.png"]
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
    monkeypatch.setattr(fuser_module, "fuse_many", lambda *_: pytest.fail("fused"))
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
@pytest.mark.parametrize("name", ["One.png", "two.v2.png"])
def test_a_pair_that_cannot_be_fused_is_told_and_the_others_are_fused(folders, tmp_path, fuser, harm, name):
    bad = folders[1] / name.lower()
    if harm == "size":
        write(bad, 10, 10)
    elif harm == "broken":
        bad.write_bytes(bad.read_bytes()[:60])
    else:
        write(folders[0] / name, 7, 7)
        write(bad, 7, 7)
    done = fuse_files(*folders, tmp_path / "out", fuser)
    assert list(done.failed) == [tmp_path / "out" / name]
    assert str(bad) in done.failed[tmp_path / "out" / name]
    (other,) = {"One.png", "two.v2.png"} - {name}
    assert [path.name for path in (tmp_path / "out").iterdir()] == [other]
    with pytest.raises(FusionLabError, match=re.escape(str(bad))):
        fuse_files(folders[0] / name, bad, tmp_path / "one.png", fuser)


def test_what_is_done_and_unchanged_is_kept(folders, tmp_path, fuser, monkeypatch):
    out = tmp_path / "out"
    first = fuse_files(*folders, out, fuser)
    assert (len(first.written), first.kept) == (2, [])
    with monkeypatch.context() as context:
        context.setattr(fuser_module, "fuse_many", lambda *_: pytest.fail("fused"))
        again = fuse_files(*folders, out, fuser)
    assert (again.written, again.kept) == ([], first.written)
    assert len(fuse_files(*folders, out, fuser, overwrite=True).written) == 2

    # A changed source, a lost or changed result, another network and other options are no longer what was done.
    write(folders[0] / "One.png", *SIZE, 3, seed=77)
    assert fuse_files(*folders, out, fuser).written == [out / "One.png"]
    (out / "two.v2.png").unlink()
    assert fuse_files(*folders, out, fuser).written == [out / "two.v2.png"]
    write(out / "two.v2.png", 3, 3)
    assert fuse_files(*folders, out, fuser).written == [out / "two.v2.png"]
    assert len(fuse_files(*folders, out, Fuser(First())).written) == 2
    assert len(fuse_files(*folders, out, Fuser(First(), colours="a")).written) == 2
    assert len(fuse_files(*folders, out, Fuser(First(), colours="a"), range_b="minmax").written) == 2
    assert not fuse_files(*folders, out, Fuser(First(), colours="a"), range_b="minmax").written


def test_a_record_that_cannot_be_kept_or_read_does_no_harm(folders, tmp_path, fuser):
    (tmp_path / "out.fused.json").mkdir()
    for _ in range(2):
        assert len(fuse_files(*folders, tmp_path / "out", fuser).written) == 2
    (tmp_path / "out.fused.json").rmdir()
    for content in ("no record", "[1, 2]", '{"One.png": 3}'):
        (tmp_path / "out.fused.json").write_text(content)
        assert len(fuse_files(*folders, tmp_path / "out", fuser).written) == 2


def test_weights_are_part_of_what_was_done(folders, tmp_path):
    torch.manual_seed(0)
    fuse_files(*folders, tmp_path / "out", Fuser(GIFNet(2, 2, 4).eval()))
    assert len(fuse_files(*folders, tmp_path / "out", Fuser(GIFNet(2, 2, 4).eval())).written) == 2
    torch.manual_seed(0)
    assert len(fuse_files(*folders, tmp_path / "out", Fuser(GIFNet(2, 2, 4).eval())).written) == 2
    torch.manual_seed(0)
    assert len(fuse_files(*folders, tmp_path / "out", Fuser(GIFNet(2, 2, 4).eval())).kept) == 2


def test_patterns(tmp_path, fuser):
    for number in ("001", "s/002"):
        write(tmp_path / f"{number}_vi.png", *SIZE, 3)
        write(tmp_path / f"{number}_ir.png", *SIZE, seed=1)
    out = tmp_path / "out"
    done = fuse_files(tmp_path / "{name}_vi", tmp_path / "{name}_ir", out, fuser)
    assert done.written == [out / "001.png", out / "s" / "002.png"]
    write(tmp_path / "003_vi.png", *SIZE)
    with pytest.raises(FusionLabError, match=r"no partner.*003_vi\.png"):
        fuse_files(tmp_path / "{name}_vi", tmp_path / "{name}_ir", out, fuser)
    with pytest.warns(FusionLabWarning, match=r"1 images .* no partner .*003_vi\.png\): they are left out"):
        done = fuse_files(tmp_path / "{name}_vi", tmp_path / "{name}_ir", out, fuser, unpaired="leave_out")
    assert len(done.kept) == 2
    with pytest.raises(FusionLabError, match="two images or two folders"):
        fuse_files(tmp_path / "{name}_vi", tmp_path / "001_ir.png", out, fuser)


def test_place_and_resolution_are_those_of_a(tmp_path, fuser):
    tags = [(33550, 12, 3, (0.5, 0.5, 0.0)), (33922, 12, 6, (0.0, 0.0, 0.0, 4.4e5, 3.7e6, 0.0)),
            (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1)), (42113, 2, 2, "0")]  # fmt: skip
    a, b = noise(*SIZE, 3, dtype=np.uint16), noise(*SIZE, dtype=np.uint16, seed=1)
    tifffile.imwrite(tmp_path / "a.tif", a, photometric="rgb", extratags=tags, resolution=(96, 96))
    tifffile.imwrite(tmp_path / "b.tif", b)
    for bands in (False, True):
        fuse_files(tmp_path / "a.tif", tmp_path / "a.tif", tmp_path / "out.tif", fuser, bands=bands)
        with tifffile.TiffFile(tmp_path / "out.tif") as file:
            page = file.pages.first
            assert [page.tags[code].value for code, *_ in tags] == [value for *_, value in tags]
    fuse_files(tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "out.tif", fuser)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert 34735 in file.pages.first.tags
    fuse_files(tmp_path / "b.tif", tmp_path / "a.tif", tmp_path / "out.tif", fuser)
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert 34735 not in file.pages.first.tags


@pytest.mark.parametrize("text", ["minmax", "0%..100%", "29000..31000"])
def test_raw_thermal_counts_are_seen_in_their_range(tmp_path, text):
    """Centikelvin in 16 bits: without a range nothing of them is left."""
    heat = np.linspace(29000, 31000, SIZE[0] * SIZE[1]).reshape(SIZE)
    visible = write(tmp_path / "a.png", *SIZE)
    tifffile.imwrite(tmp_path / "b.tif", np.rint(heat).astype(np.uint16))
    tifffile.imwrite(tmp_path / "degrees.tif", (heat / 100 - 273.15).astype(np.float32))
    fuse_files(tmp_path / "a.png", tmp_path / "b.tif", tmp_path / "out.png", Fuser(Average()), range_b=text)
    expected = (visible.pixels / 255 + (heat - 29000) / 2000) / 2
    assert abs(read_picture(tmp_path / "out.png").pixels / 65535 - expected).max() < 1e-3
    if text != "29000..31000":
        fuse_files(tmp_path / "a.png", tmp_path / "degrees.tif", tmp_path / "out.png", Fuser(Average()), range_b=text)
        assert abs(read_picture(tmp_path / "out.png").pixels / 65535 - expected).max() < 1e-3
    with pytest.raises(FusionLabError, match=r"degrees\.tif has floating-point values .*tell the input range"):
        fuse_files(tmp_path / "a.png", tmp_path / "degrees.tif", tmp_path / "out.png", Fuser(Average()))
    with pytest.warns(
        FusionLabWarning, match=r"b\.tif has 16 bits, but its values reach from 29000 to 31000 only, 3.1%"
    ):
        fuse_files(tmp_path / "a.png", tmp_path / "b.tif", tmp_path / "out.png", Fuser(Average()))
    with pytest.raises(FusionLabError, match="band by band, where an input range has no meaning"):
        fuse_files(
            tmp_path / "b.tif", tmp_path / "b.tif", tmp_path / "out.tif", Fuser(Average()), bands=True, range_b=text
        )


def test_ranges_of_a_data_set(tmp_path):
    for name, low in (("one", 1000), ("two", 3000)):
        for role in "ab":
            (tmp_path / role).mkdir(exist_ok=True)
            values = np.linspace(low, low + 1000, SIZE[0] * SIZE[1]).reshape(SIZE)
            tifffile.imwrite(tmp_path / role / f"{name}.tif", np.rint(values).astype(np.uint16))
    options = {"range_a": "minmax", "range_b": "minmax", "range_over": "dataset"}
    fuse_files(tmp_path / "a", tmp_path / "b", tmp_path / "out", Fuser(Average()), **options)
    one, two = (read_picture(tmp_path / "out" / f"{name}.png").pixels / 65535 for name in ("one", "two"))
    assert (one.min(), two.max()) == (0, 1)
    assert one.max() == pytest.approx(1 / 3, abs=1e-3)
    assert two.min() == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("network", [TITA(12, 2), GIFNet(2, 2, 4)])
def test_whose_colours(tmp_path, network):
    """Infrared in false colours: a map from blue to red."""
    rule = colour_rule(network)
    a, b = Picture(noise(16, 16, 3)), Picture(noise(16, 16, 3, seed=1))
    fused = torch.rand(16, 16)
    values = fused.double().numpy()
    grey_a, grey_b = (Picture(picture.luminance()) for picture in (a, b))
    assert np.array_equal(paint((a, b), fused, rule).pixels, rule.merge(a, b, values).pixels)
    assert np.array_equal(paint((a, b), fused, rule, "a").pixels, rule.merge(a, grey_b, values).pixels)
    assert np.array_equal(paint((a, b), fused, rule, "b").pixels, rule.merge(grey_a, b, values).pixels)
    assert paint((a, b), fused, rule, "grey").pixels.shape == (16, 16)
    # The other source has no part in the colours.
    other = Picture(noise(16, 16, 3, seed=2))
    assert np.array_equal(paint((a, b), fused, rule, "a").pixels, paint((a, other), fused, rule, "a").pixels)
    with pytest.raises(FusionLabError, match="`colours` should be one of a, b, both, grey"):
        Fuser(network, colours="c")


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
    written = fuse_files(tmp_path / "a", tmp_path / "b", out, fuser).written
    assert written == [out / "scene.tif", out / "street.png"]
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
    assert fuse_files(*folders, tmp_path / "out", fuser, "bmp").written[0] == tmp_path / "out" / "One.bmp"


def test_bands_that_are_declared_as_colours_are_thought_of(tmp_path, fuser):
    """Four bands as tifffile writes them unless told otherwise."""
    tifffile.imwrite(tmp_path / "pan.tif", noise(32, 32))
    tifffile.imwrite(tmp_path / "ms.tif", noise(16, 16, 4), photometric="rgb", extrasamples=["unassalpha"])
    with pytest.raises(FusionLabError, match=r"differ in size.* If these are spectral bands, fuse them with --bands\."):
        fuse_files(tmp_path / "pan.tif", tmp_path / "ms.tif", tmp_path / "out.tif", fuser)
    fuse_files(tmp_path / "pan.tif", tmp_path / "ms.tif", tmp_path / "out.tif", fuser, bands=True)
    assert read_raster(tmp_path / "out.tif").values.shape == (32, 32, 4)
