"""Colours as sRGB triples."""

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
"""sRGB, each of the three in [0, 255]."""

BLACK: Colour = (0, 0, 0)


def palette(codes: str) -> list[Colour]:
    """Return the colours of hexadecimal codes such as ``"1c1e24 2c2a28"``."""
    return [(float(code[0]), float(code[1]), float(code[2])) for code in map(bytes.fromhex, codes.split())]


def as_array(colour: Colour) -> NDArray[np.float32]:
    """Return a colour, or three numbers a channel each, as an array ``(3,)`` that broadcasts over images."""
    return np.array(colour, np.float32)


def scaled(colour: Colour, factor: float) -> Colour:
    """Return a colour whose sRGB values are all multiplied by a factor."""
    return (colour[0] * factor, colour[1] * factor, colour[2] * factor)
