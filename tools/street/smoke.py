"""Smoke that drifts across the street in some scenes."""

import numpy as np
from numpy.typing import NDArray

from tools.street.noise import smooth_noise
from tools.street.stage import Stage


def drifting_smoke(stage: Stage) -> NDArray[np.float32]:
    """Return the opacity ``(H, W)`` of smoke to visible light, in [0, 0.95]; zero in most scenes."""
    camera, generator = stage.camera, stage.generator
    if generator.random() < 0.65:
        return np.zeros(camera.shape, np.float32)
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    column, row = generator.uniform(0.15, 0.85) * camera.width, camera.horizon + 0.12 * camera.height
    width, height = generator.uniform(0.12, 0.3) * camera.width, 0.25 * camera.height
    cloud = np.exp(-(((columns - column) / width) ** 2) - ((rows - row) / height) ** 2)
    return np.clip(cloud * (1.1 + 0.55 * smooth_noise(camera.shape, 4, generator)), 0, 0.95).astype(np.float32)
