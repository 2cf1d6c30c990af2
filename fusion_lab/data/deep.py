"""Images of more than 8 bits a sample that Pillow knows, but would cut to 8."""

import math
import re
import struct
from collections.abc import Sequence
from typing import Any, cast

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusion_lab.errors import FusionLabError

_JPEG2000_SIZE = b"\xff\x4f\xff\x51"
_AVIF_CONFIGURATION = b"av1C"


def deep_samples(data: bytes, image: Image.Image, name: str) -> tuple[NDArray[Any], int] | None:
    """Return the samples ``(H, W)`` or ``(H, W, N)`` and the value of white; None where Pillow keeps all bits.

    Args:
        data: The file.
        image: What Pillow makes of it, not loaded yet.
        name: What messages call it.

    Raises:
        FusionLabError: The samples have signs, or different numbers of bits.
        Exception: The file is broken.
    """
    if image.format == "PNG" and data[24] == 16:
        # IHDR: the bit depth follows the width and height.
        return imagecodecs.png_decode(data), 0xFFFF
    if image.format == "PPM":
        return _netpbm(data, image)
    if image.format == "JPEG2000":
        bits = _jpeg2000_bits(data, name)
        return (imagecodecs.jpeg2k_decode(data), 2**bits - 1) if bits > 8 else None
    if image.format == "AVIF" and (bits := _avif_bits(data)) > 8:
        return imagecodecs.avif_decode(data, index=0), 2**bits - 1
    return None


def _netpbm(data: bytes, image: Image.Image) -> tuple[NDArray[Any], int] | None:
    """Read grey or RGB with a white of its own, which Pillow brings to 8 bits pixel by pixel; not plain grey."""
    decoder, _, offset, arguments = cast(Any, image).tile[0]
    if data[:2] not in (b"P5", b"P6", b"P3") or not decoder.startswith("ppm"):
        return None
    white = int(arguments[-1]) if isinstance(arguments, Sequence) else 0xFF
    shape = (image.height, image.width, *([] if data[:2] == b"P5" else [3]))
    if data[:2] == b"P3":
        numbers = re.sub(rb"#[^\r\n]*", b"", data[offset:]).split()[: math.prod(shape)]
        levels = np.minimum(np.array(numbers, np.int64).reshape(shape), white)
        return levels.astype(np.uint16 if white > 0xFF else np.uint8), white
    values = np.frombuffer(data, ">u2" if white > 0xFF else "u1", int(np.prod(shape)), offset).reshape(shape)
    return np.minimum(values, white).astype(values.dtype.newbyteorder("=")), white


def _jpeg2000_bits(data: bytes, name: str) -> int:
    """Read the bits of a sample from the marker SIZ: after 38 bytes, three for each of its components."""
    start = data.index(_JPEG2000_SIZE) + 2
    (count,) = struct.unpack(">H", data[start + 38 : start + 40])
    told = {data[start + 40 + 3 * component] for component in range(count)}
    bits = max(told) % 128 + 1
    if (len(told) > 1 or max(told) >= 128) and bits > 8:
        raise FusionLabError(f"The image {name} holds samples with signs or of several depths: store it as PNG.")
    return bits


def _avif_bits(data: bytes) -> int:
    """Read the bits of a sample from the box av1C: flags in its third byte."""
    place = data.find(_AVIF_CONFIGURATION)
    flags = data[place + 6] if 0 < place < len(data) - 6 else 0
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8
