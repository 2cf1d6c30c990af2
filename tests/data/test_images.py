import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageOps

from fusion_lab.data import images
from fusion_lab.data.images import Picture, from_pillow, read_picture, to_pillow, write_picture
from fusion_lab.data.rasters import read_raster
from fusion_lab.errors import FusionLabError

SIZE = (9, 13)


def noise(*shape, dtype=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


GREY, COLOUR, ALPHA = noise(*SIZE), noise(*SIZE, 3), noise(*SIZE, seed=1)
DEEP_GREY, DEEP_COLOUR, DEEP_ALPHA = (
    noise(*SIZE, dtype=np.uint16), noise(*SIZE, 3, dtype=np.uint16), noise(*SIZE, dtype=np.uint16, seed=1)
)  # fmt: skip


def png(path, bands, colour_type, extra=b""):
    """Write a 16-bit PNG of any colour type, which Pillow cannot."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", bands.shape[1], bands.shape[0], 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in bands)
    exif = chunk(b"eXIf", extra) if extra else b""
    chunks = [chunk(b"IHDR", header), exif, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def turned_tiff(bands, orientation):
    """Give an uncompressed TIFF file with an orientation, which OpenCV cannot write."""
    order = [2, 1, 0, 3][: bands.shape[2]] if bands.ndim == 3 else slice(None)
    _, encoded = cv2.imencode(".tif", bands[..., order].copy(), [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    data = bytearray(encoded.tobytes())
    (place,) = struct.unpack("<I", data[4:8])
    (count,) = struct.unpack("<H", data[place : place + 2])
    entries = [bytes(data[place + 2 + 12 * i :][:12]) for i in range(count)]
    entries = sorted([*entries, struct.pack("<HHIHH", 274, 3, 1, orientation, 0)], key=lambda e: e[1] * 256 + e[0])
    data += bytes(len(data) % 2)
    data[4:8] = struct.pack("<I", len(data))
    return bytes(data + struct.pack("<H", count + 1) + b"".join(entries) + bytes(4))


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def upright(bands, orientation):
    """Turn 8-bit bands as Pillow does."""
    file = io.BytesIO()
    Image.fromarray(bands).save(file, "PNG", exif=exif(orientation))
    return np.asarray(ImageOps.exif_transpose(Image.open(file)))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp", ".webp"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_8_bits_survive(tmp_path, suffix, pixels):
    write_picture(Picture(pixels), tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.alpha is None
    assert read.pixels.dtype == np.uint8
    assert read.is_grey == (pixels.ndim == 2)
    assert np.array_equal(read.luminance(), Picture(pixels).luminance())
    assert np.array_equal(read.pixels, pixels) or suffix == ".webp"


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_jpeg(tmp_path, suffix, pixels):
    smooth = cv2.GaussianBlur(cv2.resize(pixels, (64, 48)), (0, 0), 3)
    write_picture(Picture(smooth, noise(48, 64)), tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.alpha is None
    assert abs(read.pixels.astype(int) - smooth).mean() < 3


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("pixels", [DEEP_GREY, DEEP_COLOUR])
def test_16_bits_survive(tmp_path, suffix, pixels):
    write_picture(Picture(pixels), tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert read.pixels.dtype == np.uint16
    assert np.array_equal(read.pixels, pixels)


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".jpg"])
def test_16_bits_are_rounded_where_they_must(tmp_path, suffix):
    pixels = np.repeat(np.arange(256, dtype=np.uint16)[None] * 257 + np.array([[100], [0]], np.uint16), 8, axis=0)
    pixels[0, -1] = 65535
    write_picture(Picture(np.minimum(pixels, 65535).astype(np.uint16)), tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}").luminance()
    assert read.dtype == np.uint8
    assert abs(read[8:].astype(int) - np.arange(256)).max() <= (3 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".tif", ".TIFF"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR, DEEP_GREY, DEEP_COLOUR])
def test_tiff_can_be_read_as_a_raster(tmp_path, suffix, pixels):
    write_picture(Picture(pixels), tmp_path / f"a{suffix}")
    assert np.array_equal(np.squeeze(read_raster(tmp_path / f"a{suffix}").values), pixels)


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [(".png", np.uint8), (".tif", np.uint8), (".webp", np.uint8), (".png", np.uint16), (".tif", np.uint16)],
)
@pytest.mark.parametrize("shape", [SIZE, (*SIZE, 3)])
def test_alpha_survives(tmp_path, suffix, dtype, shape):
    # WebP gives the colours of transparent pixels up.
    alpha = np.maximum(noise(*SIZE, dtype=dtype, seed=1), 1)
    picture = Picture(noise(*shape, dtype=dtype), alpha)
    write_picture(picture, tmp_path / f"a{suffix}")
    read = read_picture(tmp_path / f"a{suffix}")
    assert np.array_equal(read.alpha, alpha)
    assert np.array_equal(read.luminance(), picture.luminance())
    assert read.is_grey == picture.is_grey


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("1", "png"), ("1", "tif"), ("1", "bmp"), ("L", "png"), ("P", "png"), ("P", "bmp"), ("RGB", "png"),
     ("LA", "png"), ("LA", "tif"), ("RGBA", "png"), ("RGBA", "tif"), ("RGBA", "webp"), ("CMYK", "jpg"),
     ("CMYK", "tif"), ("I;16", "png"), ("I;16", "tif"), ("I", "tif"), ("LAB", "tif"), ("YCbCr", "jpg")],
)  # fmt: skip
def test_modes_of_pillow(tmp_path, mode, suffix):
    path = tmp_path / f"a.{suffix}"
    if mode in ("I;16", "I"):
        image = Image.fromarray(DEEP_GREY if mode == "I;16" else DEEP_GREY.astype(np.int32))
        expected = DEEP_GREY
    else:
        rgba = Image.fromarray(np.dstack([COLOUR, np.maximum(ALPHA, 1)]))
        image = rgba if mode == "RGBA" else (rgba if mode == "LA" else rgba.convert("RGB")).convert(mode)
        grey = mode in ("1", "L", "LA")
        expected = np.asarray(image.convert("L" if grey else "RGB"))
    image.save(path, **({"lossless": True} if suffix == "webp" else {}))
    read = read_picture(path)
    assert read.pixels.dtype == (np.uint16 if mode[0] == "I" else np.uint8)
    assert (read.alpha is not None) == (mode in ("LA", "RGBA"))
    assert read.pixels.shape == expected.shape
    if suffix != "jpg":
        assert np.array_equal(read.pixels, expected)


def test_palette_with_a_transparent_entry(tmp_path):
    image = Image.fromarray(noise(*SIZE) % 4, "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9])
    image.save(tmp_path / "a.png", transparency=1)
    read = read_picture(tmp_path / "a.png")
    index = noise(*SIZE) % 4
    assert np.array_equal(read.alpha, np.where(index == 1, 0, 255))
    assert np.array_equal(read.pixels, np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]])[index])


@pytest.mark.parametrize("mode", ["L", "RGB", "1"])
def test_transparent_colour(tmp_path, mode):
    image = Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / "a.png", transparency=(1, 2, 3) if mode == "RGB" else 0)
    read = read_picture(tmp_path / "a.png")
    assert np.array_equal(read.pixels, np.asarray(image.convert("L" if mode == "1" else mode)))
    if mode != "RGB":
        assert np.array_equal(read.alpha, np.where(read.pixels == 0, 0, 255))


def test_16_bit_png_of_grey_and_alpha(tmp_path):
    png(tmp_path / "a.png", np.dstack([DEEP_GREY, DEEP_ALPHA]), 4)
    read = read_picture(tmp_path / "a.png")
    assert read.is_grey
    assert np.array_equal(read.luminance(), DEEP_GREY)
    assert np.array_equal(read.alpha, DEEP_ALPHA)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path, orientation):
    for name, bands in (("grey", GREY), ("colour", COLOUR)):
        expected = upright(bands, orientation)
        Image.fromarray(bands).save(tmp_path / f"{name}.png", exif=exif(orientation))
        (tmp_path / f"{name}.tif").write_bytes(turned_tiff(bands, orientation))
        Image.fromarray(bands).save(tmp_path / f"{name}.jpg", exif=exif(orientation))
        assert read_picture(tmp_path / f"{name}.jpg").size == expected.shape[:2]
        for suffix in ("png", "tif"):
            assert np.array_equal(read_picture(tmp_path / f"{name}.{suffix}").pixels, expected), suffix


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bits(tmp_path, orientation):
    deep_rgba = np.dstack([COLOUR, ALPHA]).astype(np.uint16) * 257
    layouts = {"grey": deep_rgba[..., 0].copy(), "colour": deep_rgba[..., :3].copy(), "alpha": deep_rgba}
    for name, bands in layouts.items():
        expected = upright((bands // 257).astype(np.uint8), orientation)
        (tmp_path / f"{name}.tif").write_bytes(turned_tiff(bands, orientation))
        colour_type = {"grey": 0, "colour": 2, "alpha": 6}[name]
        png(
            tmp_path / f"{name}.png",
            bands,
            colour_type,
            exif(orientation).tobytes().removeprefix(b"Exif\0\0"),
        )
        for suffix in ("tif", "png"):
            read = read_picture(tmp_path / f"{name}.{suffix}")
            pixels = read.pixels if read.alpha is None else np.dstack([read.pixels, read.alpha])
            assert read.pixels.dtype == np.uint16
            assert np.array_equal(pixels // 257, expected), (name, suffix)


def test_luminance_is_that_of_pillow():
    assert np.array_equal(Picture(COLOUR).luminance(), np.asarray(Image.fromarray(COLOUR).convert("L")))
    white = np.full((*SIZE, 3), 65535, np.uint16)
    assert (Picture(white).luminance() == 65535).all()


def test_depths():
    picture = Picture(COLOUR, ALPHA)
    assert picture.flatten() is picture
    deep = picture.deepen()
    assert deep.deepen() is deep
    assert deep.levels == 65535
    assert np.array_equal(deep.flatten().pixels, COLOUR)
    assert np.array_equal(deep.flatten().alpha, ALPHA)
    assert Picture(np.array([[128, 129, 65535]], np.uint16)).flatten().pixels.tolist() == [[0, 1, 255]]


def test_to_pillow_and_back():
    for picture, mode in (
        (Picture(GREY), "L"), (Picture(GREY, ALPHA), "LA"), (Picture(DEEP_GREY), "I;16"),
        (Picture(COLOUR), "RGB"), (Picture(COLOUR, ALPHA), "RGBA"),
    ):  # fmt: skip
        image = to_pillow(picture)
        assert image.mode == mode
        back = from_pillow(image)
        assert np.array_equal(back.pixels, picture.pixels)
        assert (back.alpha is None) == (picture.alpha is None)
    assert to_pillow(Picture(DEEP_COLOUR)).mode == "RGB"
    assert to_pillow(Picture(DEEP_GREY, DEEP_ALPHA)).mode == "LA"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"no image at all, but text", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "not an image|broken"),
        (b"\xff\xd8\xff\xe0" + bytes(40), "not an image|broken"),
        (b"II*\0" + b"\xff" * 40, "not an image|broken"),
        (b"RIFF\x20\0\0\0WEBPVP8 " + bytes(20), "not an image|broken"),
    ],
)
def test_files_that_are_no_images_are_told(tmp_path, content, told):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FusionLabError, match=rf"a\.png.*({told})"):
        read_picture(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg", ".webp"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 3)])
def test_cut_files_are_told(tmp_path, suffix, dtype, shape):
    path = tmp_path / f"a{suffix}"
    write_picture(Picture(noise(*shape, dtype=dtype)), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FusionLabError, match=rf"a\{suffix}"):
        read_picture(path)


def test_missing_file_and_folder_are_told(tmp_path):
    with pytest.raises(FusionLabError, match=r"absent\.png does not exist"):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(FusionLabError, match="is a folder"):
        read_picture(tmp_path)
    with pytest.raises(FusionLabError, match=r"cannot be read \(File name too long\)"):
        read_picture(tmp_path / f"{'x' * 300}.png")


def test_only_formats_of_images_are_tried(tmp_path, monkeypatch):
    """Pillow would have Ghostscript run the program that an EPS file is."""
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", None)
    with pytest.raises(FusionLabError, match=r"a\.png is not an image that can be read"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("side", [13_400, 2**31 - 1])
def test_more_pixels_than_memory_should_take_are_told(tmp_path, side):
    """A small file may claim any size."""
    path = tmp_path / "a.png"
    Image.fromarray(GREY).save(path)
    data = path.read_bytes()
    chunk = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    path.write_bytes(data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:])
    with pytest.raises(FusionLabError, match=r"a\.png has more pixels than Pillow reads by default"):
        read_picture(path)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize(
    "tags",
    [
        b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(40), b"no tags at all",
        # An orientation that is a text, one that there is not, and a directory that contains itself.
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\xff\xff\0\0\0\0\0\0",
        b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    ],
)  # fmt: skip
def test_senseless_metadata_do_no_harm(tmp_path, kind, tags):
    path = tmp_path / f"a.{kind}"
    Image.fromarray(COLOUR).save(path, exif=b"Exif\0\0" + tags, lossless=True)
    assert read_picture(path).size == SIZE


@pytest.mark.parametrize(
    ("levels", "told"),
    [
        (GREY.astype(np.float32), "floating-point"),
        (DEEP_GREY.astype(np.int32) * 2, r"outside 0\.\.65535"),
        (GREY - np.int32(300), "outside"),
    ],
)
def test_levels_of_no_use_are_told(tmp_path, levels, told):
    Image.fromarray(levels).save(tmp_path / "a.tif")
    with pytest.raises(FusionLabError, match=rf"a\.tif.*{told}"):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a", "a.gif", "a.png.txt"])
def test_unknown_suffix_is_told(tmp_path, name):
    with pytest.raises(FusionLabError, match="no image suffix"):
        write_picture(Picture(GREY), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_too_large_for_the_format_is_told(tmp_path):
    with pytest.raises(FusionLabError, match=r"cannot be encoded as \.webp: use \.png"):
        write_picture(Picture(np.zeros((8, 20_000), np.uint8)), tmp_path / "a.webp")
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_picture(Picture(GREY), tmp_path / "a.png")

    def fail(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images.Path, "write_bytes", fail)
    with pytest.raises(FusionLabError, match="No space left"):
        write_picture(Picture(COLOUR), tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels, GREY)
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("white", [255, 1023, 65535])
def test_plain_ppm_keeps_all_levels(tmp_path, white):
    levels = np.random.default_rng(0).integers(0, white + 1, (3, 4, 3))
    numbers = " ".join(map(str, levels.ravel()))
    (tmp_path / "a.ppm").write_text(f"P3\n# by hand\n4 3\n{white}\n{numbers} # the end\n")
    expected = levels if white in (255, 65535) else (levels * 65535 + white // 2) // white
    assert np.array_equal(read_picture(tmp_path / "a.ppm").pixels, expected)
    (tmp_path / "short.ppm").write_text("P3\n4 3\n65535\n1 2 3\n")
    with pytest.raises(FusionLabError, match="is broken"):
        read_picture(tmp_path / "short.ppm")
