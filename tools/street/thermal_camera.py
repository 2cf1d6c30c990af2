"""The infrared camera: radiance through air and smoke, point spread, fixed-pattern and temporal noise."""

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.street.noise import smooth_noise
from tools.street.pinhole import shrink_to_sensor
from tools.street.stage import SKY_DISTANCE, Stage


def thermograph(stage: Stage, smoke: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what the infrared camera shows of a stage.

    Args:
        stage: Everything painted, in supersampled pixels ``(H, W)``.
        smoke: Opacity ``(H, W)`` to visible light, in [0, 1].

    Returns:
        8 bit ``(h, w)`` in pixels of the sensor, white for hot, the contrast stretched.
    """
    sharp = shrink_to_sensor(_apparent_celsius(stage, smoke))
    blurred = _spread(sharp, stage.generator.uniform(0.8, 1.2))
    return _stretch(_with_noise(blurred, stage.generator), stage.air)


def _apparent_celsius(stage: Stage, smoke: NDArray[np.float32]) -> NDArray[np.floating]:
    """Return the temperatures ``(H, W)`` that arrive at the lens, in degrees Celsius."""
    unevenness = 0.35 * smooth_noise(stage.camera.shape, 6, stage.generator)
    celsius = stage.celsius - 4 * stage.daytime.sunlit * (1 - stage.lit) + unevenness
    # Smoke is nearly transparent at ten micrometres, and so is clean air.
    clear = np.where(stage.distance < SKY_DISTANCE, np.exp(-stage.distance / 600), 1) * (1 - 0.2 * smoke)
    return stage.air + (celsius - stage.air) * clear


def _spread(celsius: NDArray[np.floating], sigma: float) -> NDArray[np.floating]:
    """Return temperatures ``(h, w)`` behind optics whose point-spread function is Gaussian, ``sigma`` in pixels."""
    # OpenCV keeps the type of the numbers, but does not declare it.
    return cast(NDArray[np.floating], cv2.GaussianBlur(celsius, (0, 0), sigma))


def _with_noise(celsius: NDArray[np.floating], generator: np.random.Generator) -> NDArray[np.floating]:
    """Return temperatures ``(h, w)`` with the fixed pattern of columns and pixels, and temporal noise."""
    height, width = celsius.shape
    fixed = 0.15 * generator.standard_normal((1, width)) + 0.08 * generator.standard_normal((height, width))
    return celsius + fixed + 0.12 * generator.standard_normal((height, width))


def _stretch(celsius: NDArray[np.floating], air: float) -> NDArray[np.uint8]:
    """Return temperatures ``(h, w)`` as 8-bit grey."""
    # The limits keep a cold sky from using up the contrast, and a scene without anything hot from being
    # stretched into noise.
    coldest = max(float(np.percentile(celsius, 0.5)), air - 13)
    hottest = max(float(np.percentile(celsius, 99.8)), air + 12)
    return np.rint(255 * np.clip((celsius - coldest) / (hottest - coldest), 0, 1)).astype(np.uint8)
