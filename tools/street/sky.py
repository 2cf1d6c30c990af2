"""The sky and the skyline at its foot."""

import numpy as np

from tools.street.colours import as_array
from tools.street.noise import smooth_noise
from tools.street.shapes import wall
from tools.street.stage import SKY_DISTANCE, Stage

SKYLINE_DISTANCE = 220.0
"""Metres to the buildings that close the street."""


def paint_sky(stage: Stage) -> None:
    """Fill the image with a gradient and clouds, colder overhead."""
    camera, generator = stage.camera, stage.generator
    rows = np.arange(camera.height, dtype=np.float32)[:, None, None]
    elevation = np.clip(1 - rows / camera.horizon, 0, 1)
    blend = elevation**0.7
    horizon = as_array(stage.daytime.horizon)
    clear = as_array(stage.daytime.zenith) * blend + horizon * (1 - blend)
    clouds = np.clip(smooth_noise(camera.shape, 3, generator) - generator.uniform(-0.2, 0.6), 0, 1)[..., None]
    white = horizon * 0.5 + 0.5 * horizon.max()
    stage.colour[:] = np.rint(clear * (1 - 0.7 * clouds) + white * 0.7 * clouds)
    # Clear air radiates little; clouds are nearly as warm as the ground.
    stage.celsius[:] = stage.air - 4 - 9 * elevation[..., 0] + 4 * clouds[..., 0]
    stage.lit[:] = 1
    stage.distance[:] = SKY_DISTANCE


def paint_skyline(stage: Stage) -> None:
    """Paint a row of far buildings, some of which overlap."""
    camera, generator = stage.camera, stage.generator
    tint = generator.uniform(60, 110)
    for column in np.arange(-0.2, 1.2, 0.09):
        left = camera.metres_aside(column * camera.width, SKYLINE_DISTANCE)
        height, width = generator.uniform(4, 26), generator.uniform(14, 30)
        outline = wall((left, SKYLINE_DISTANCE), (left + width, SKYLINE_DISTANCE), height)
        stage.paint(outline, (tint, tint * 1.02, tint * 1.08), stage.air + generator.uniform(-1, 1))
