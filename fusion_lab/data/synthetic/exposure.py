"""Photographs exposed anew: the arithmetic of light between sRGB values and the sensor.

The transfer function is that of IEC 61966-2-1; the noise is the signal-dependent model of Foi et al.,
"Practical Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 2008.
"""

import numpy as np
from numpy.typing import NDArray

_READ_NOISE = 0.01
"""Light that would cause as much shot noise as reading an empty sensor does; 1 is the sensor's full scale."""


def srgb_to_linear(encoded: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the linear light of sRGB values, both in [0, 1], of any shape."""
    encoded = np.asarray(encoded, np.float32)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4).astype(np.float32)


def linear_to_srgb(linear: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the sRGB values of linear light, both in [0, 1], of any shape; light outside is clipped."""
    linear = np.clip(np.asarray(linear, np.float32), 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).astype(np.float32)


_LINEAR_OF_BYTE = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)


def decode(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the linear light in [0, 1] of an 8-bit sRGB image of any shape."""
    return _LINEAR_OF_BYTE[image]


def encode(linear: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return the 8-bit sRGB image of linear light; light outside [0, 1] is clipped, as a sensor does."""
    return np.rint(linear_to_srgb(linear) * 255).astype(np.uint8)


def exposure_pair(
    image: NDArray[np.uint8],
    under_stops: float = -2.0,
    over_stops: float = 2.0,
    contrast: float = 1.5,
    noise: float = 0.004,
    *,
    generator: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return an under- and an over-exposed image of the scene that a photograph shows.

    A published photograph has had its range compressed to fit the screen: exposed anew as it is, its
    under-exposed image would be dark even in the highlights and would still hold everything. The scene's
    light is therefore taken to be the photograph's, raised to the power ``contrast``.

    Args:
        image: 8-bit sRGB, ``(H, W, 3)``.
        under_stops: Exposure of the first result; 0 keeps the whitest white of the photograph white.
        over_stops: Exposure of the second result.
        contrast: How many stops of the scene one stop of the photograph stands for; 1 leaves it as it is.
        noise: Standard deviation of the noise at full scale, in units of the full scale; 0 for none.
        generator: Source of the noise.

    Returns:
        The under- and the over-exposed image, each 8-bit sRGB, ``(H, W, 3)``.
    """
    scene = decode(image) ** np.float32(contrast)
    return (
        encode(_capture(scene, under_stops, noise, generator)),
        encode(_capture(scene, over_stops, noise, generator)),
    )


def _capture(
    light: NDArray[np.float32], stops: float, noise: float, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return what a sensor reads from light, not yet clipped."""
    signal = light * np.float32(2.0**stops)
    deviation = np.float32(noise) * np.sqrt(signal + np.float32(_READ_NOISE))
    return signal + deviation * generator.standard_normal(light.shape, np.float32)
