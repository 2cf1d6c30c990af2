import numpy as np
import pytest
import tifffile
from PIL import Image

from fusion_lab.data import rasters
from fusion_lab.data.rasters import Raster, holds_bands, read_raster, write_raster
from fusion_lab.errors import FusionLabError, FusionLabWarning

SIZE = (9, 13)
TAGS = (
    (33550, 12, 3, (0.5, 0.5, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 440000.0, 3750000.0, 0.0), True),
    (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
)


def noise(bands, dtype=np.uint16):
    values = np.random.default_rng(0).integers(0, 256, (*SIZE, bands), np.uint16)
    return values.astype(dtype)


def first(values):
    """Bands first, as planes and pages are."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


CONTIGUOUS = {"photometric": "minisblack", "planarconfig": "contig"}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 8])
def test_values_and_place_survive(tmp_path, dtype, bands):
    write_raster(Raster(noise(bands, dtype), TAGS), tmp_path / "a.tif")
    read = read_raster(tmp_path / "a.tif")
    assert np.array_equal(read.values, noise(bands, dtype))
    assert read.values.dtype == dtype
    assert (read.bands, read.size) == (bands, SIZE)
    assert read.geotags == TAGS
    assert holds_bands(tmp_path / "a.tif") == (bands > 1)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_geotiff


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (noise(4), CONTIGUOUS),
        (first(noise(4)), {"photometric": "minisblack", "planarconfig": "separate"}),
        (first(noise(4)), {"photometric": "minisblack"}),
        (noise(4), {"photometric": "rgb", "extrasamples": ["unspecified"]}),
        (noise(4), {"photometric": "separated"}),
        (noise(4).astype(">u2"), {**CONTIGUOUS, "byteorder": ">"}),
        (noise(4), {**CONTIGUOUS, "compression": "deflate", "tile": (16, 16)}),
    ],
    ids=["contiguous", "planes", "pages", "rgb and more", "cmyk", "big-endian", "tiles"],
)
def test_layouts_of_four_bands(tmp_path, values, options):
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    assert holds_bands(tmp_path / "a.tif")
    read = read_raster(tmp_path / "a.tif")
    assert np.array_equal(read.values, noise(4))
    assert read.values.dtype == np.uint16


def test_colours_are_no_bands(tmp_path):
    for name, bands, options in (
        ("grey", 1, {"photometric": "minisblack"}),
        ("grey and alpha", 2, {**CONTIGUOUS, "extrasamples": ["unassalpha"]}),
        ("rgb", 3, {"photometric": "rgb"}),
        ("rgba", 4, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
    ):
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(path, noise(bands, np.uint8).squeeze(), **options)
        assert not holds_bands(path), name
        # But they can be read as bands.
        assert np.array_equal(read_raster(path).values, noise(bands, np.uint8))
    for name, mode in (("palette", "P"), ("lab", "LAB"), ("line art", "1")):
        Image.fromarray(noise(3, np.uint8)).convert("RGB" if mode == "LAB" else mode).save(tmp_path / f"{name}.tif")
        assert not holds_bands(tmp_path / f"{name}.tif"), name
    Image.fromarray(noise(3, np.uint8)).save(tmp_path / "a.png")
    assert not holds_bands(tmp_path / "a.png")
    (tmp_path / "broken.tif").write_bytes(b"II*\0" + b"\xff" * 40)
    assert not holds_bands(tmp_path / "broken.tif")


def test_other_images_have_bands_too(tmp_path):
    for name, bands in (("grey", 1), ("rgb", 3), ("rgba", 4)):
        Image.fromarray(noise(bands, np.uint8).squeeze()).save(tmp_path / f"{name}.png")
        assert np.array_equal(read_raster(tmp_path / f"{name}.png").values, noise(bands, np.uint8))


def test_equal_bands_are_one():
    assert Raster(np.repeat(noise(1), 3, axis=2)).bands == 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (noise(2, np.int16), r"holds int16: store it as uint8, uint16, float32"),
        (noise(2, np.float64), "holds float64"),
        (noise(2, np.float32) - 300, "has values from -300 to"),
        (np.where(noise(2) > 200, np.nan, noise(2)).astype(np.float32), "values from nan"),
        (np.where(noise(2) > 200, np.inf, noise(2)).astype(np.float32), "to inf"),
        (np.stack([noise(3, np.uint8)] * 2), "one image of any number of bands"),
    ],
)
def test_images_of_no_use_are_told(tmp_path, values, told):
    options = CONTIGUOUS if values.ndim == 3 else {"photometric": "rgb"}
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(FusionLabError, match=rf"a\.tif.*{told}"):
        read_raster(tmp_path / "a.tif")


def test_broken_files_are_told(tmp_path):
    path = tmp_path / "a.tif"
    write_raster(Raster(noise(4)), path)
    for content in (path.read_bytes()[:400], b"no image", b"", b"II*\0" + b"\xff" * 40):
        path.write_bytes(content)
        with pytest.raises(FusionLabError, match=r"a\.tif is broken or no TIFF") as error:
            read_raster(path)
        assert "\n" not in str(error.value)
    with pytest.raises(FusionLabError, match="does not exist"):
        read_raster(tmp_path / "absent.tif")
    with pytest.raises(FusionLabError, match="is a folder"):
        read_raster(tmp_path)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("byteorder", "<>")
def test_zero_as_white(tmp_path, dtype, byteorder):
    values = noise(1, dtype)
    tifffile.imwrite(tmp_path / "a.tif", values[..., 0], photometric="miniswhite", byteorder=byteorder)
    assert np.array_equal(read_raster(tmp_path / "a.tif").values, np.iinfo(dtype).max - values)
    tifffile.imwrite(tmp_path / "a.tif", values[..., 0].astype(np.float32), photometric="miniswhite")
    with pytest.raises(FusionLabError, match="holds float32, of which zero is white"):
        read_raster(tmp_path / "a.tif")


def test_palettes_are_colours_in_bands_too(tmp_path):
    palette = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    indices = noise(1, np.uint8)[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", indices, photometric="palette", colormap=palette)
    assert np.array_equal(read_raster(tmp_path / "a.tif").values, palette.T[indices] // 257)


def test_turned_bands_are_upright_and_lie_nowhere(tmp_path):
    turned = [(274, 3, 1, 8, True)]
    tifffile.imwrite(tmp_path / "a.tif", noise(4), **CONTIGUOUS, extratags=[*TAGS, *turned])
    read = read_raster(tmp_path / "a.tif")
    assert np.array_equal(read.values, np.rot90(noise(4)))
    assert read.geotags == ()


def test_the_value_that_means_nothing_and_the_resolution_survive(tmp_path):
    nodata = (42113, 2, 6, "-9999", True)
    raster = Raster(noise(4, np.float32), (*TAGS, nodata), (300.0, 150.0))
    write_raster(raster, tmp_path / "a.tif")
    read = read_raster(tmp_path / "a.tif")
    assert read.geotags == (*TAGS, nodata)
    assert read.resolution == (300, 150)


def test_images_that_are_left_out_are_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(noise(1)[..., 0], metadata=None)
        file.write(noise(1)[:5, :, 0], metadata=None)
    with pytest.warns(FusionLabWarning, match=r"a\.tif holds 2 images: the first is used"):
        assert read_raster(tmp_path / "a.tif").size == SIZE


def test_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(path, *args, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rasters.tifffile, "imwrite", fail)
    with pytest.raises(FusionLabError, match="No space left"):
        write_raster(Raster(noise(4)), tmp_path / "a.tif")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FusionLabError, match=r"end it in \.tif"):
        write_raster(Raster(noise(4)), tmp_path / "a.png")
