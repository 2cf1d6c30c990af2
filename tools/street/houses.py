"""Houses along the street: brickwork or plaster, windows, perhaps a sign."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tools.street.colours import BLACK, Colour, as_array, palette, scaled
from tools.street.shapes import Corners, wall
from tools.street.stage import Stage
from tools.street.writing import draw_board

WALLS = palette("965442 b0785c beb096 847e78 a89678 78463c")
MORTAR: Colour = (196, 188, 176)
FRAME: Colour = (216, 212, 202)
PANE: Colour = (52, 62, 74)
DEPTH = 12
"""Metres from the front of a house to its back."""


@dataclass(frozen=True)
class House:
    """Where a house stands, in metres."""

    x: float
    """Of the front, to the right of the middle of the street."""
    start: float
    """Where the front begins, ahead of the camera."""
    end: float
    height: float

    def front(self, low: float, high: float, near: float, far: float) -> Corners:
        """Return a rectangle on the front, from its top left corner clockwise as seen from the street."""
        left, right = (near, far) if self.x < 0 else (far, near)
        return [(self.x, high, left), (self.x, high, right), (self.x, low, right), (self.x, low, left)]


def paint_house_row(stage: Stage, x: float) -> None:
    """Paint the houses along one side of the street, whose fronts stand ``x`` metres right of its middle."""
    generator = stage.generator
    houses = []
    start = 0.45 * stage.camera.nearest
    while start < 110:
        length = generator.uniform(8, 16)
        houses.append(House(x, start, start + length, height=generator.uniform(5, 15)))
        start += length + (generator.uniform(3, 9) if generator.random() < 0.35 else 0)
    for house in reversed(houses):
        _paint_house(stage, house)


def _paint_house(stage: Stage, house: House) -> None:
    """Paint one house from the walls outwards."""
    generator = stage.generator
    colour = WALLS[generator.integers(len(WALLS))]
    celsius = stage.air + generator.uniform(1.5, 5)
    _paint_walls(stage, house, colour, celsius)
    # Farther away the bricks could hardly be told apart.
    if generator.random() < 0.6 and house.start < 40:
        bricks = _brickwork(colour, house.end - house.start, house.height, generator)
        stage.paste(bricks, house.front(0, house.height, house.start, house.end))
    _paint_windows(stage, house, celsius)
    if generator.random() < 0.6:
        _paint_sign(stage, house, celsius - 0.3)


def _paint_walls(stage: Stage, house: House, colour: Colour, celsius: float) -> None:
    """Paint the gable towards the camera and the front."""
    back = house.x + np.sign(house.x) * DEPTH
    gable = wall((house.x, house.start), (back, house.start), house.height)
    stage.paint(gable, scaled(colour, 0.7), celsius - 0.5)
    # Pieces, because a shape has only one distance.
    for far, near in pairwise(np.linspace(house.end, house.start, 5)):
        stage.paint(wall((house.x, near), (house.x, far), house.height), colour, celsius, 0.08)


def _paint_windows(stage: Stage, house: House, celsius: float) -> None:
    """Paint windows in storeys and bays; behind the warmer ones there is more often light."""
    generator = stage.generator
    storey, bay = generator.uniform(2.8, 3.4), generator.uniform(2.0, 3.0)
    for low in np.arange(1.0, house.height - 2, storey):
        for near in np.arange(house.start + 0.6, house.end - 1.4, bay):
            heated = generator.random() < 0.4
            light = BLACK
            if stage.daytime.dark and generator.random() < (0.55 if heated else 0.1):
                light = (235, generator.uniform(170, 205), generator.uniform(90, 140))
            pane = celsius + (generator.uniform(3, 9) if heated else generator.uniform(-2, 0.5))
            stage.paint(house.front(low - 0.1, low + 1.7, near - 0.1, near + 1.2), FRAME, celsius - 0.5)
            stage.paint(house.front(low, low + 1.6, near, near + 1.1), PANE, pane, 0.02, light)
            stage.paint(house.front(low + 0.76, low + 0.84, near, near + 1.1), FRAME, pane - 1)


def _paint_sign(stage: Stage, house: House, celsius: float) -> None:
    """Paint a board above the ground floor, lit after sunset."""
    near = stage.generator.uniform(house.start, house.end - 4)
    place = house.front(2.9, 3.9, near, near + 4)
    stage.paint(place, (60, 60, 60), celsius)
    stage.paste(draw_board(stage.generator), place, glow=0.8 if stage.daytime.dark else 0.0)


def _brickwork(colour: Colour, width: float, height: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return 8-bit sRGB ``(h, w, 3)`` of a wall in running bond, of the given width and height in metres."""
    # A course of bricks is 9 pixels high, and a brick twice as long.
    course = 9
    rows, columns = int(height / 0.16), int(width / 0.45)
    shades = generator.uniform(0.72, 1.15, (rows, columns, 1)).astype(np.float32)
    bricks = np.repeat(np.repeat(shades * as_array(colour), course, axis=0), 2 * course, axis=1)
    bricks[::course] = bricks[1::course] = MORTAR
    for row in range(rows):
        bricks[row * course : (row + 1) * course, (row % 2) * course :: 2 * course] = MORTAR
    return np.clip(bricks, 0, 255).astype(np.uint8)
