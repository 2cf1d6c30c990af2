"""Who and what stands where on the street."""

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

import numpy as np

from tools.street.cars import paint_car_from_end, paint_car_from_side
from tools.street.ground import Street
from tools.street.lamps import paint_lamp
from tools.street.people import paint_person
from tools.street.stage import Stage
from tools.street.trees import paint_tree


class Placed(NamedTuple):
    """Something at a place, in metres to the right and ahead."""

    paint: Callable[[Stage, float, float], None]
    x: float
    z: float


def paint_inhabitants(stage: Stage, street: Street, parks: Collection[int]) -> None:
    """Paint all that stands on the ground, the farthest first.

    Args:
        stage: Sky, ground and houses are painted already.
        street: Its half widths.
        parks: The sides, -1 for left and 1 for right, that have trees instead of houses.
    """
    placed: list[Placed] = []
    for side in (-1, 1):
        placed.extend(_avenue(stage, side * (street.kerb - 0.5)))
        placed.extend(_lamp_row(stage, side * (street.road + 0.4)))
    for side in parks:
        placed.extend(_park(stage, side, street.kerb))
    placed.extend(_traffic(stage, street.road))
    placed.extend(_passers_by(stage, street.kerb))
    for paint, x, z in sorted(placed, key=lambda item: -item.z):
        paint(stage, x, z)


def _avenue(stage: Stage, x: float) -> Iterator[Placed]:
    """Plant trees along the pavement of most streets."""
    generator = stage.generator
    if generator.random() < 0.7:
        for z in np.arange(stage.camera.nearest + generator.uniform(0, 6), 70, generator.uniform(9, 18)):
            yield Placed(paint_tree, x, z)


def _lamp_row(stage: Stage, x: float) -> Iterator[Placed]:
    """Set up street lamps, which the visible camera must know of as sources of light, too."""
    generator = stage.generator
    spacing = generator.uniform(16, 24)
    for z in np.arange(stage.camera.nearest + generator.uniform(1, 8), 90, spacing):
        stage.lamps.append((x, z))
        yield Placed(paint_lamp, x, z)


def _park(stage: Stage, side: int, kerb: float) -> Iterator[Placed]:
    """Scatter trees beyond the pavement, the wider the farther away."""
    generator = stage.generator
    for z in stage.camera.nearest + np.cumsum(generator.uniform(1, 6, 14)):
        yield Placed(paint_tree, side * (kerb + generator.uniform(1, 0.9 * z)), z)


def _traffic(stage: Stage, road: float) -> Iterator[Placed]:
    """Let cars come on the left lane, go on the right one and perhaps one cross."""
    generator, near = stage.generator, stage.camera.nearest
    for lane in (-1, 1):
        for z in near + np.cumsum(generator.uniform(5, 30, generator.integers(0, 4))):
            yield Placed(paint_car_from_end, lane * road / 2, z)
    if generator.random() < 0.4:
        yield Placed(paint_car_from_side, generator.uniform(-3, 3), near + generator.uniform(6, 25))


def _passers_by(stage: Stage, kerb: float) -> Iterator[Placed]:
    """Spread people over the image rather than over the ground, some of them in twos."""
    camera, generator = stage.camera, stage.generator
    for _ in range(generator.integers(3, 9)):
        z = camera.nearest * np.exp(generator.uniform(0.15, 1.9))
        column = generator.uniform(0.06, 0.94) * camera.width
        x = np.clip(camera.metres_aside(column, z), -kerb, kerb)
        yield Placed(paint_person, x, z)
        if generator.random() < 0.3:
            yield Placed(paint_person, x + generator.uniform(0.6, 0.9), z + 0.2)
