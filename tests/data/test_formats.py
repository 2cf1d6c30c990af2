"""Files of the field, written by other programs: read as those programs read them, or refused with what they hold."""

import io
import struct
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fusion_lab.data import PairDataset
from fusion_lab.data.images import Picture, from_pillow, read_picture, read_stored, write_picture
from fusion_lab.data.rasters import read_raster
from fusion_lab.errors import FusionLabError, FusionLabWarning

# LittleCMS without its shortcuts.
EXACT = ImageCms.Flags.NOOPTIMIZE
SIZE = (9, 13)
CHEAP = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
TURNED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


def noise(*shape, top=65536, dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def all_levels(picture):
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def colours_of(palette, indices):
    return palette.T[indices]


@CHEAP
@given(st.data())
def test_tiff_of_any_kind_is_what_was_written(tmp_path, data):
    draw = data.draw
    photometric = draw(st.sampled_from(["minisblack", "miniswhite", "rgb", "palette"]))
    bits = draw(st.sampled_from([8, 16] if photometric != "palette" else [8]))
    dtype = np.uint8 if bits == 8 else np.uint16
    colours = 3 if photometric == "rgb" else 1
    extra = draw(st.sampled_from([None, "unassalpha", "assocalpha", "unspecified"])) if photometric == "rgb" else None
    samples = colours + (extra is not None)
    values = noise(*SIZE, samples, top=2**bits, dtype=dtype, seed=draw(st.integers(0, 9)))
    separate = samples > 1 and draw(st.booleans())
    orientation = draw(st.sampled_from([None, *TURNED]))
    options = {
        "photometric": photometric,
        "byteorder": draw(st.sampled_from("<>")),
        "bigtiff": draw(st.booleans()),
        "compression": draw(st.sampled_from([None, "deflate", "lzw", "packbits", "zstd", "lzma"])),
        "extrasamples": [extra] if extra else None,
        "planarconfig": ("separate" if separate else "contig") if samples > 1 else None,
        "extratags": [(274, 3, 1, orientation, True)] if orientation else [],
        "metadata": None,
    }
    if options["compression"] not in (None, "packbits"):
        options["predictor"] = draw(st.booleans())
    if draw(st.booleans()):
        options["tile"] = (16, 16)
    else:
        options["rowsperstrip"] = draw(st.sampled_from([1, 4, 100]))
    palette = noise(3, 256, seed=1) if photometric == "palette" else None
    stored = np.moveaxis(values, -1, 0) if separate else values.squeeze()
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, colormap=palette, **options)
    back = tifffile.imread(path)
    assert np.array_equal(np.moveaxis(back, 0, -1) if separate else back, values.squeeze())

    expected = values
    if photometric == "miniswhite":
        expected = (2**bits - 1) - values
    elif photometric == "palette":
        expected = colours_of(palette, values[..., 0])
    elif extra == "unspecified":
        expected = values[..., :3]
    elif extra == "assocalpha":
        alpha = values[..., 3:].astype(np.int64)
        plain = np.minimum(values[..., :3].astype(np.int64) * (2**bits - 1) // np.maximum(alpha, 1), 2**bits - 1)
        expected = np.concatenate([np.where(alpha == 0, values[..., :3], plain), alpha], axis=-1)
    read = read_picture(path)
    assert np.array_equal(all_levels(read), TURNED[orientation or 1](expected).squeeze())
    assert read.pixels.dtype == (np.uint16 if photometric == "palette" else dtype)


@CHEAP
@given(st.data())
def test_tiff_by_pillow_is_what_pillow_reads(tmp_path, data):
    mode = data.draw(
        st.sampled_from(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "I;16"])
    )
    compressions = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]
    compressions += ["group3", "group4"] if mode == "1" else []
    compressions += ["jpeg"] if mode in ("L", "RGB", "CMYK", "YCbCr") else []
    if mode == "I;16":
        image = Image.fromarray(noise(*SIZE))
    else:
        rgba = Image.fromarray(noise(*SIZE, 4, top=256, dtype=np.uint8))
        image = rgba if mode in ("LA", "RGBA") else rgba.convert("RGB")
        image = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    compression = data.draw(st.sampled_from(compressions))
    path = tmp_path / "a.tif"
    image.save(path, compression=compression)
    try:
        read = read_picture(path)
    except FusionLabError as error:
        # PA is written as two samples of which nothing is said.
        assert mode == "PA" and "holds" in str(error)  # noqa: PT017, PT018
        return
    with Image.open(path) as back:
        alpha = "A" in mode and mode != "LAB"
        wanted = mode if mode == "I;16" else ("LA" if alpha else "L") if mode in ("1", "L", "LA") else "RGBA"
        expected = np.asarray(back if mode == "I;16" else back.convert(wanted if alpha or wanted == "L" else "RGB"))
    levels = all_levels(read)
    # Two builds of libjpeg bring reduced colours to full size, each in its own way.
    jpeg = compression == "jpeg" and mode in ("RGB", "YCbCr")
    assert abs(levels.astype(int) - expected).max() <= (2 if jpeg else 0)


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_white_is_the_largest_value_of_the_bits(tmp_path, bits, photometric):
    values = noise(*SIZE, 3, top=2**bits, dtype=np.uint8 if bits <= 8 else np.uint16)
    values[0, 0], values[0, 1] = 0, 2**bits - 1
    values = values if photometric == "rgb" else values[..., 0]
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, bitspersample=bits, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages.first.bitspersample == bits
        assert np.array_equal(file.asarray(), values)
    most = 255 if bits <= 8 else 65535
    shown = 2**bits - 1 - values if photometric == "miniswhite" else values
    read = read_picture(tmp_path / "a.tif").pixels
    assert read.max() == most
    assert read.min() == 0
    assert abs(read - shown * (most / (2**bits - 1))).max() <= 0.5
    # Bands are values, not levels, where these are as many as the type has.
    bands = read_raster(tmp_path / "a.tif").values.squeeze()
    assert np.array_equal(bands, read if bits < 8 else shown)


@pytest.mark.parametrize("suffix", ["pgm", "ppm"])
@pytest.mark.parametrize("white", [1, 15, 255, 1023, 4095, 65535])
def test_netpbm(tmp_path, suffix, white):
    values = noise(*SIZE, *([3] if suffix == "ppm" else []), top=white + 1)
    values.flat[0] = white
    kind = {"pgm": "P5", "ppm": "P6"}[suffix]
    head = f"{kind}\n# a comment\n{SIZE[1]} {SIZE[0]}\n{white}\n".encode()
    (tmp_path / f"a.{suffix}").write_bytes(head + values.astype(">u2" if white > 255 else "u1").tobytes())
    read = read_picture(tmp_path / f"a.{suffix}").pixels
    assert read.dtype == (np.uint8 if white <= 255 else np.uint16)
    assert abs(read - values / white * np.iinfo(read.dtype).max).max() <= 0.5


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("kind", ["jp2", "avif"])
@pytest.mark.parametrize("shape", [(64, 48), (64, 48, 3)])
def test_jpeg_2000_and_avif_keep_their_depth(tmp_path, kind, bits, shape):
    values = noise(*shape, top=2**bits, dtype=np.uint8 if bits == 8 else np.uint16)
    if kind == "jp2":
        encoded = imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits)
    else:
        encoded = imagecodecs.avif_encode(values, level=100, bitspersample=bits, pixelformat="yuv444")
    (tmp_path / f"a.{kind}").write_bytes(encoded)
    read = read_picture(tmp_path / f"a.{kind}")
    most = 255 if bits == 8 else 65535
    assert read.levels == most
    error = abs(read.pixels.squeeze() / most - values / (2**bits - 1)).max()
    assert error <= (0.51 / most if kind == "jp2" else 0.02)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("bands", [1, 3])
def test_a_transparent_level_of_16_bits(tmp_path, bands):
    values = noise(*SIZE, bands)
    header = struct.pack(">IIBBBBB", SIZE[1], SIZE[0], 16, 0 if bands == 1 else 2, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    clear = chunk(b"tRNS", values[2, 3].astype(">u2").tobytes())
    chunks = [chunk(b"IHDR", header), clear, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    read = read_picture(tmp_path / "a.png")
    assert np.array_equal(read.pixels, values.squeeze())
    assert np.array_equal(read.alpha, np.where((values == values[2, 3]).all(axis=-1), 0, 65535))


PROFILES = {"RGB": imagecodecs.cms_profile("adobergb"), "L": imagecodecs.cms_profile("gray", gamma=1.0)}


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_profiles_of_colour_are_applied(tmp_path, suffix, mode):
    image = Image.fromarray(np.full((16, 16, 3), (200, 30, 30), np.uint8)).convert(mode)
    image.save(tmp_path / f"a.{suffix}", icc_profile=PROFILES[mode], **({"quality": 100} if suffix == "jpg" else {}))
    given_profile = ImageCms.ImageCmsProfile(io.BytesIO(PROFILES[mode]))
    expected = ImageCms.profileToProfile(
        image, given_profile, ImageCms.createProfile("sRGB"), outputMode="RGB", flags=EXACT
    )
    read = read_picture(tmp_path / f"a.{suffix}")
    assert read.pixels.ndim == (2 if mode == "L" and suffix != "webp" else 3)
    rgb = read.pixels if read.pixels.ndim == 3 else np.dstack([read.pixels] * 3)
    if not (mode == "L" and suffix == "webp"):
        assert abs(rgb.astype(int) - np.asarray(expected)).max() <= (2 if suffix in ("jpg", "webp") else 0)
    if mode == "RGB":
        assert np.asarray(expected)[0, 0].tolist() == [233, 24, 24]


def test_profiles_of_16_bits(tmp_path):
    deep = np.full((4, 4, 3), (200, 30, 30), np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=PROFILES["RGB"])
    read = read_picture(tmp_path / "a.tif").pixels
    assert read.dtype == np.uint16
    assert np.rint(read[0, 0] / 257).tolist() == [233, 24, 24]
    # More than the 8 bits of 233 and 24 are known.
    assert (read % 257).any()
    grey = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    tifffile.imwrite(tmp_path / "b.tif", grey, iccprofile=PROFILES["L"])
    share = grey / 65535
    expected = np.where(share <= 0.0031308, share * 12.92, 1.055 * share ** (1 / 2.4) - 0.055)
    assert abs(read_picture(tmp_path / "b.tif").pixels / 65535 - expected).max() < 1e-4


def test_the_profile_of_srgb_changes_nothing(tmp_path):
    pixels = noise(*SIZE, 3, top=256, dtype=np.uint8)
    for name, profile in (
        ("pillow", ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()),
        ("broken", b"no profile at all" * 20),
        ("other colours", PROFILES["L"]),
    ):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png", icc_profile=profile)
        assert np.array_equal(read_picture(tmp_path / f"{name}.png").pixels, pixels), name


def test_place_and_resolution_survive(tmp_path):
    tags = ((33550, 12, 3, (0.5, 0.5, 0.0), True), (34735, 3, 8, (1, 1, 0, 1, 1024, 0, 1, 1), True),
            (42113, 2, 6, "65535", True))  # fmt: skip
    for dtype, orientation in ((np.uint16, 1), (np.uint8, 1), (np.uint16, 6)):
        values = noise(*SIZE, top=256, dtype=dtype)
        turned = [(274, 3, 1, orientation, True)]
        tifffile.imwrite(
            tmp_path / "a.tif", values, extratags=[*tags, *turned], resolution=(300, 150), resolutionunit="inch"
        )
        picture = read_picture(tmp_path / "a.tif")
        assert picture.resolution == ((300, 150) if orientation == 1 else (150, 300))
        assert [tag[0] for tag in picture.geotags] == ([33550, 34735, 42113] if orientation == 1 else [])
        for suffix in ("tif", "png", "jpg"):
            write_picture(picture, tmp_path / f"b.{suffix}")
            again = read_picture(tmp_path / f"b.{suffix}")
            assert np.allclose(again.resolution, picture.resolution, atol=0.02), suffix
            assert again.geotags == (picture.geotags if suffix == "tif" else ())
        with Image.open(tmp_path / "b.png") as png:
            png.verify()
        # What meant nothing has another level now.
        changed = picture.flatten() if dtype == np.uint16 else picture.deepen()
        assert 42113 not in [tag[0] for tag in changed.geotags]


def frames(tmp_path, kind):
    images = [Image.fromarray(noise(*SIZE, 3, top=256, dtype=np.uint8, seed=i)) for i in range(3)]
    path = tmp_path / f"a.{kind}"
    images[0].save(path, save_all=True, append_images=images[1:], **({"lossless": True} if kind == "webp" else {}))
    return path, np.asarray(images[0])


@pytest.mark.parametrize("kind", ["tif", "webp", "png"])
def test_frames_that_are_left_out_are_told(tmp_path, kind):
    path, first = frames(tmp_path, kind)
    with pytest.warns(FusionLabWarning, match=rf"a\.{kind} holds 3 frames: the first is used, the others are left out"):
        read = read_picture(path)
    assert np.array_equal(read.pixels, first)


def test_previews_are_no_frames(tmp_path):
    pixels = noise(*SIZE, 3, top=256, dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels[::2, ::2], subfiletype=1, photometric="rgb", metadata=None)
        file.write(pixels, photometric="rgb", metadata=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(read_picture(tmp_path / "a.tif").pixels, pixels)
    tifffile.imwrite(tmp_path / "b.tif", pixels, subfiletype=1, photometric="rgb")
    with pytest.raises(FusionLabError, match="holds only a preview"):
        read_picture(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("values", "options", "told"),
    [
        (noise(*SIZE, dtype=np.float64), {}, r"floating-point values \(float64\) from .* input range"),
        (noise(*SIZE, dtype=np.float16, top=99), {}, r"floating-point values \(float16\)"),
        (noise(*SIZE, dtype=np.int16, top=99) - np.int16(50), {}, r"whole values \(int16\) from -50 to .*outside 0"),
        (noise(*SIZE, dtype=np.complex64), {}, "64 bits in the format"),
        (noise(*SIZE, 4), {"photometric": "separated"}, "16-bit SEPARATED colours"),
        (noise(*SIZE), {"photometric": "cfa", "extratags": [(33421, 3, 2, (2, 2)), (33422, 1, 4, b"\0\1\1\2")]},
         "CFA samples"),
        (noise(*SIZE, 6), {"photometric": "rgb", "extrasamples": ["unspecified"] * 3}, "6 samples a pixel"),
        (noise(*SIZE, 2), {"photometric": "minisblack", "planarconfig": "contig"}, "2 samples a pixel"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_right_is_refused_with_what_it_holds(tmp_path, values, options, told):
    tifffile.imwrite(tmp_path / "a.tif", values, **options)
    with pytest.raises(FusionLabError, match=rf"a\.tif .*{told}") as error:
        read_picture(tmp_path / "a.tif")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (bytes(4) + b"ftypheic" + bytes(400), "is HEIC, which is not read.*with pillow-heif"),
        (bytes(128) + b"DICM" + bytes(400), "is DICOM.*with pydicom"),
        (bytes(344) + b"n+1\0" + bytes(100), "is NIfTI.*with nibabel"),
    ],
)
def test_formats_that_are_not_read_name_a_package(tmp_path, content, told):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FusionLabError, match=told):
        read_picture(tmp_path / "a.png")


def test_many_pixels_give_no_warning(tmp_path, monkeypatch):
    Image.fromarray(noise(*SIZE, top=256, dtype=np.uint8)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(tmp_path / "a.png").size == SIZE
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for suffix in ("png", "tif"):
        write_picture(Picture(noise(*SIZE, top=256, dtype=np.uint8)), tmp_path / f"a.{suffix}")
        with pytest.raises(FusionLabError, match="more pixels than Pillow reads by default"):
            read_picture(tmp_path / f"a.{suffix}")


def test_grey_with_alpha_of_16_bits(tmp_path):
    values = noise(*SIZE, 2)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", extrasamples=["unassalpha"])
    read = read_picture(tmp_path / "a.tif")
    assert np.array_equal(np.dstack([read.pixels, read.alpha]), values)


def test_training_sees_the_right_values(tmp_path):
    rgb = np.full((*SIZE, 3), (20000, 13000, 20000), np.uint16)
    rgb[0, 0] = (60000, 61000, 62000)
    grey = noise(*SIZE)
    for role in "ab":
        (tmp_path / role).mkdir()
    tifffile.imwrite(tmp_path / "a" / "p.tif", np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(tmp_path / "b" / "p.tif", grey, photometric="miniswhite", byteorder=">")
    sample = PairDataset(tmp_path)[0]
    luma = (rgb.astype(np.int64) @ [19595, 38470, 7471] + 0x8000) >> 16
    assert np.allclose(sample["source_a"][0], luma / 65535, atol=1e-6)
    assert np.allclose(sample["source_b"][0], (65535 - grey.astype(int)) / 65535, atol=1e-6)


def test_the_samples_themselves_can_be_had(tmp_path):
    degrees = np.linspace(-20, 120, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    tifffile.imwrite(tmp_path / "a.tif", degrees)
    assert np.array_equal(read_stored(tmp_path / "a.tif").values, degrees)


@pytest.mark.parametrize("bits", [12, 16])
def test_tiff_opened_with_pillow(tmp_path, bits):
    values = noise(*SIZE, top=2**bits)
    tifffile.imwrite(tmp_path / "a.tif", values, bitspersample=bits, photometric="minisblack", metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", noise(*SIZE), photometric="miniswhite", metadata=None)
    for name in "ab":
        with Image.open(tmp_path / f"{name}.tif") as image:
            assert np.array_equal(from_pillow(image).pixels, read_picture(tmp_path / f"{name}.tif").pixels)
