"""The ground: lawn or paving, pavements, the road and its marks."""

from dataclasses import dataclass

import numpy as np

from tools.street.colours import Colour
from tools.street.shapes import on_ground
from tools.street.stage import Stage

FAR = 300.0
"""Metres to where the ground ends."""
ROAD_PAINT: Colour = (214, 212, 204)


@dataclass(frozen=True)
class Street:
    """Half widths in metres; the middle of the road is at 0."""

    road: float
    kerb: float
    """Where the pavement ends."""


def paint_ground(stage: Stage, street: Street) -> None:
    """Paint all that lies flat."""
    near = 0.8 * stage.camera.nearest
    _paint_surfaces(stage, street, near)
    _paint_marks(stage, street.road, near)
    _set_distances(stage)


def _sun_warmth(stage: Stage) -> float:
    """Return by how many degrees the sun warms tar."""
    return 5 * stage.daytime.sunlit


def _paint_surfaces(stage: Stage, street: Street, near: float) -> None:
    """Paint what lies beside the pavements, then the pavements, then the road."""
    generator, air, sun = stage.generator, stage.air, _sun_warmth(stage)

    def strip(half_width: float, colour: Colour, celsius: float, grain: float) -> None:
        stage.paint(on_ground(-half_width, half_width, near, FAR), colour, celsius, grain)

    lawn = generator.random() < 0.5
    if lawn:
        strip(80, (78, 104, 52), air + 0.1 * sun, 0.4)
    else:
        strip(80, (140, 132, 120), air + 0.5 * sun, 0.15)
    grey = generator.uniform(120, 165)
    strip(street.kerb, (grey, grey * 0.98, grey * 0.94), air + 1.5 + 0.8 * sun, 0.2)
    tar = generator.uniform(58, 92)
    strip(street.road, (tar, tar, tar * 1.04), air + 3 + sun, 0.25)


def _paint_marks(stage: Stage, road: float, near: float) -> None:
    """Paint the broken middle line, the two edge lines and perhaps a zebra crossing."""
    generator = stage.generator
    # Paint sheds heat a little worse than tar, hence the trace of a difference.
    celsius = stage.air + 2.7 + _sun_warmth(stage)

    def mark(left: float, right: float, start: float, end: float) -> None:
        stage.paint(on_ground(left, right, start, end), ROAD_PAINT, celsius)

    for start in np.arange(near, 120, 6):
        mark(-0.09, 0.09, start, start + 3)
    for side in (-1, 1):
        mark(side * (road - 0.35), side * (road - 0.2), near, FAR)
    if generator.random() < 0.5:
        start = generator.uniform(near + 1, near + 12)
        for left in np.arange(-road + 0.6, road - 0.6, 1.0):
            mark(left, left + 0.5, start, start + 3)


def _set_distances(stage: Stage) -> None:
    """Correct the distances: a painted shape has one, but the ground lies at all of them."""
    camera = stage.camera
    below = np.arange(camera.height, dtype=np.float32) - camera.horizon
    distance = camera.focal * camera.altitude / np.maximum(below, 1)
    ground = below > camera.focal * camera.altitude / FAR
    stage.distance[ground] = distance[ground, None]
