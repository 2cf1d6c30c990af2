"""Image files of every kind, and damage to them, as a random generator decides."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from tests.fuzz.mutations import BYTES, Random, choose, flip, whole


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _saved(pixels, suffix: str, mode: str | None = None, **options) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix), **options)
    return file.getvalue()


def _by_opencv(pixels, suffix: str, *options: int) -> bytes:
    return cv2.imencode(f".{suffix}", pixels, options)[1].tobytes()


def _tags() -> Image.Exif:
    """Give the metadata of a camera, turned."""
    tags = Image.Exif()
    tags.update({274: 6, 271: "maker", 306: "2020:01:01 00:00:00", 33434: (1, 60)})
    return tags


def _texts() -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("comment", "words " * 50, zip=True)
    texts.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    return texts


def pictures(random: Random) -> list[tuple[str, bytes]]:
    """Give image files of every kind, 24 pixels high and 20 wide, each with its suffix."""
    grey = random.integers(0, 256, (24, 20), np.uint8)
    colour, alpha = random.integers(0, 256, (24, 20, 3), np.uint8), random.integers(0, 256, (24, 20, 4), np.uint8)
    deep = random.integers(0, 65536, (24, 20), np.uint16)
    deep_colour = random.integers(0, 65536, (24, 20, 3), np.uint16)
    profile = random.bytes(300)
    return [
        ("png", _saved(grey, "png", pnginfo=_texts())),
        ("png", _saved(colour, "png", exif=_tags(), icc_profile=profile)),
        ("png", _saved(alpha, "png")),
        ("png", _saved(colour, "png", "P", transparency=3)),
        ("png", _saved(grey, "png", "1")),
        ("png", _saved(deep, "png")),
        ("png", _by_opencv(deep_colour, "png")),
        ("jpg", _saved(colour, "jpg", exif=_tags(), icc_profile=profile)),
        ("jpg", _saved(grey, "jpg", progressive=True)),
        ("jpg", _saved(colour, "jpg", "CMYK")),
        ("tif", _saved(grey, "tif")),
        ("tif", _saved(deep, "tif", compression="tiff_adobe_deflate")),
        ("tif", _saved(colour, "tif", compression="tiff_lzw", exif=_tags())),
        ("tif", _saved(alpha, "tif")),
        ("tif", _saved(colour, "tif", "P")),
        ("tif", _by_opencv(deep_colour, "tif", cv2.IMWRITE_TIFF_COMPRESSION, 1)),
        ("webp", _saved(alpha, "webp", exif=_tags())),
        ("bmp", _saved(colour, "bmp", "P")),
    ]


def declare_size(data: bytes, random: Random) -> bytes:
    """Let the header of a file claim another size, up to far more pixels than it has."""
    width, height = (int(choose(random, [0, 1, 7, 2**12, 2**14, 2**16 - 1, 2**31 - 1])) for _ in range(2))
    if data.startswith(b"\x89PNG"):
        return data[:8] + _chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]
    if data.startswith(b"BM"):
        return data[:18] + struct.pack("<II", width, height) + data[26:]
    if data.startswith(b"II*\0"):
        spoilt = bytearray(data)
        (place,) = struct.unpack("<I", data[4:8])
        for entry in range(place + 2, place + 2 + 12 * struct.unpack("<H", data[place : place + 2])[0], 12):
            tag = struct.unpack("<H", data[entry : entry + 2])[0]
            if tag in (256, 257):
                spoilt[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, width if tag == 256 else height)
        return bytes(spoilt)
    for marker in (b"\xff\xc0", b"\xff\xc2"):
        place = data.find(marker)
        if data.startswith(b"\xff\xd8") and place > 0:
            return data[: place + 5] + struct.pack(">HH", height & 0xFFFF, width & 0xFFFF) + data[place + 9 :]
    return flip(data, random)


def spoil_metadata(data: bytes, random: Random) -> bytes:
    """Put senseless or endless metadata into a PNG or JPEG file, and change the metadata of others."""
    tags = choose(
        random,
        [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff" + bytes(40), random.bytes(500),
         # An orientation that is a text, one that is none, and a directory that goes on with itself.
         b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
         b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\xff\xff\0\0\0\0\0\0",
         b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"],
    )  # fmt: skip
    if data.startswith(b"\x89PNG"):
        bomb = zlib.compress(bytes(5_000_000))
        extra = choose(
            random,
            [_chunk(b"eXIf", tags), _chunk(b"zTXt", b"words\0\0" + bomb), _chunk(b"iCCP", b"name\0\0" + bomb),
             _chunk(b"iTXt", b"words\0\1\0\0\0" + bomb), _chunk(b"tRNS", random.bytes(3)), _chunk(b"gAMA", b""),
             _chunk(b"acTL", bytes(8)), _chunk(b"pHYs", b"\xff"), _chunk(b"IHDR", bytes(13)), _chunk(b"    ", b"")],
        )  # fmt: skip
        return data[:33] + extra + data[33:]
    if data.startswith(b"\xff\xd8"):
        payload = choose(random, [b"Exif\0\0" + tags, b"ICC_PROFILE\0\x05\x01", b"Adobe" + tags, b"Photoshop 3.0\0"])
        marker = choose(random, [b"\xff\xe1", b"\xff\xe2", b"\xff\xed", b"\xff\xee", b"\xff\xfe"])
        return data[:2] + marker + struct.pack(">H", len(payload) + 2) + payload + data[2:]
    return flip(data[:300], random) + data[300:]


def spoil_picture(suffix: str, data: bytes, random: Random) -> tuple[str, bytes, str]:
    """Damage an image file; returns its suffix, its content and what was done, in words."""
    change = choose(random, [*BYTES, whole, declare_size, declare_size, declare_size, spoil_metadata, spoil_metadata])
    wanted = choose(random, [suffix, suffix, suffix, "png", "tif", "jpg"])
    return wanted, change(data, random), f"{suffix} as {wanted}: {change.__name__}"
