"""The colour camera: daylight and lamps, haze, glare, smoke and the sensor's noise."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.synthetic.exposure import decode, encode
from tools.street.colours import as_array
from tools.street.noise import smooth_noise
from tools.street.pinhole import shrink_to_sensor
from tools.street.stage import SKY_DISTANCE, Stage

LAMP_LIGHT = as_array((1.0, 0.84, 0.58))
"""Linear light of a street lamp, per channel."""


def photograph(stage: Stage, smoke: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what the visible camera shows of a stage.

    Args:
        stage: Everything painted, in supersampled pixels ``(H, W)``.
        smoke: Opacity ``(H, W)`` in [0, 1].

    Returns:
        8-bit sRGB ``(h, w, 3)`` in pixels of the sensor.
    """
    daytime = stage.daytime
    emitted = decode(stage.glow)
    halo = _halo(emitted)
    scene = _through_haze(stage, _lit_surfaces(stage)) + emitted + 0.8 * halo
    smoke_light = as_array(daytime.ambient) * 0.55 + 0.15 * halo
    scene = scene * (1 - smoke[..., None]) + smoke_light * smoke[..., None]
    scene = shrink_to_sensor(scene)
    noise = daytime.noise * np.sqrt(scene + 0.02) * stage.generator.standard_normal(scene.shape, np.float32)
    return encode(scene + noise)


def _is_sky(stage: Stage) -> NDArray[np.bool_]:
    """Return where the sky is, ``(H, W, 1)``: it shines by itself, and has its haze in its colour."""
    return (stage.distance >= SKY_DISTANCE)[..., None]


def _lit_surfaces(stage: Stage) -> NDArray[np.floating]:
    """Return the linear light ``(H, W, 3)`` that surfaces throw back; the texture is drawn anew each time."""
    shape, generator = stage.camera.shape, stage.generator
    texture = 1.2 * generator.standard_normal(shape, np.float32) + 0.6 * smooth_noise(shape, 32, generator)
    colour = decode(stage.colour)
    reflectance = colour * np.clip(1 + stage.grain * texture, 0.1, 2)[..., None]
    return np.where(_is_sky(stage), colour, reflectance * _illumination(stage))


def _illumination(stage: Stage) -> NDArray[np.floating]:
    """Return the linear light ``(H, W, 3)`` that falls on a white surface."""
    camera, daytime, distance = stage.camera, stage.daytime, stage.distance
    light: NDArray[np.floating] = as_array(daytime.ambient) * stage.lit[..., None]
    if daytime.dark:
        columns = np.arange(camera.width, dtype=np.float32) - camera.centre
        aside = columns * distance / camera.focal
        for x, z in stage.lamps:
            squared = (aside - x) ** 2 + (distance - z) ** 2
            light = light + LAMP_LIGHT * (daytime.lamps / (1 + squared / 6))[..., None]
    return light


def _halo(emitted: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the glare ``(H, W, 3)`` of lights: the sum of a wide and of a narrow blur."""
    width = emitted.shape[1]
    return cv2.GaussianBlur(emitted, (0, 0), 0.02 * width) + cv2.GaussianBlur(emitted, (0, 0), 0.006 * width)


def _through_haze(stage: Stage, scene: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a scene ``(H, W, 3)`` of linear light that fades into haze; how far one can see is drawn."""
    air_light = decode(as_array(stage.daytime.horizon).astype(np.uint8)) * np.float32(0.9)
    clear = np.exp(-stage.distance / stage.generator.uniform(120, 500))[..., None]
    return np.where(_is_sky(stage), scene, scene * clear + air_light * (1 - clear))
