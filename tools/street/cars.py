"""Cars, along the street and across it; engines, exhausts and tyres are what infrared shows of them."""

from tools.street.colours import BLACK, Colour, palette
from tools.street.figure import Figure
from tools.street.shapes import ellipse, on_ground, symmetric, upright
from tools.street.stage import Stage
from tools.street.writing import draw_board

PAINTS = palette("aa1c1e 1e3c82 cececc 18191c 6e747a bea03c 326046")
GLASS: Colour = (40, 48, 56)
HEADLIGHT: Colour = (255, 246, 220)
TAIL_LIGHT: Colour = (235, 30, 24)
GRAIN = 0.03
SHADE = 0.35
"""Share of the light that is left beneath a car."""

UNDERBODY = [(-0.7, 0.22), (0.7, 0.22), (0.7, 0.4), (-0.7, 0.4)]
CABIN = symmetric([(-0.72, 0.85), (-0.56, 1.4), (-0.4, 1.46)])
WINDSCREEN = symmetric([(-0.62, 0.9), (-0.5, 1.34)])
BODY = symmetric([(-0.86, 0.32), (-0.9, 0.6), (-0.82, 0.9)])
GRILLE = symmetric([(-0.45, 0.48), (-0.45, 0.76)])
PLATE = [(-0.26, 0.56), (0.26, 0.56), (0.26, 0.43), (-0.26, 0.43)]

# The same from the side, for a car that drives to the right.
ROOF_LINE = [(-2.15, 0.75), (-1.95, 0.95), (-1.3, 1.0), (-0.75, 1.4), (0.4, 1.44), (1.1, 0.98), (1.95, 0.84)]
SIDE_BODY = [(-2.1, 0.3), *ROOF_LINE, (2.1, 0.6), (2.05, 0.3)]
BONNET = [(1.0, 0.5), (1.0, 0.96), (1.95, 0.82), (2.05, 0.5)]
REAR_WINDOW = [(-1.12, 1.0), (-0.7, 1.33), (-0.2, 1.35), (-0.2, 1.0)]
FRONT_WINDOW = [(-0.1, 1.0), (-0.1, 1.35), (0.36, 1.36), (0.92, 1.0)]
DOOR_GAP = [(-0.16, 0.35), (-0.16, 0.98), (-0.12, 0.98), (-0.12, 0.35)]


def paint_car_from_end(stage: Stage, x: float, z: float) -> None:
    """Paint a car ``z`` metres ahead, from the front (oncoming, left of the middle) or from behind."""
    generator, air, lit = stage.generator, stage.air, stage.light_at(x, z)
    paint = PAINTS[generator.integers(len(PAINTS))]
    oncoming = x < 0
    # A bonnet warms up on the road; a parked car is as cold as the air.
    running = generator.random() < 0.75
    engine = air + (generator.uniform(8, 16) if running else 1.0)
    stage.shadow(on_ground(x - 1, x + 1, z - 0.3, z + 3.5), SHADE * lit)
    car = Figure(stage, x, z, GRAIN, lit)
    for side in (-1, 1):
        car.part(ellipse(side * 0.68, 0.3, 0.24, 0.62), (22, 22, 22), air + (9 if running else 0.5))
    car.part(UNDERBODY, (16, 16, 18), air + (5 if running else 0.5))
    car.part(CABIN, paint, air + 2)
    # Glass mirrors the cold sky.
    car.part(WINDSCREEN, GLASS, air - 1.5)
    car.part(BODY, paint, engine - 3 if oncoming else air + 2.5)
    light = HEADLIGHT if oncoming else TAIL_LIGHT
    glow = light if stage.daytime.dark and running else BLACK
    for side in (-1, 1):
        car.part(ellipse(side * 0.68, 0.68, 0.28, 0.15), light, engine if oncoming else air + 5, glow)
    if oncoming:
        car.part(GRILLE, (26, 26, 28), engine + 6)
    else:
        exhaust = ellipse(-0.5, 0.3, 0.14, 0.1)
        car.part(exhaust, (60, 60, 60), engine + 12)
    stage.paste(draw_board(generator), upright(PLATE, x, z))


def paint_car_from_side(stage: Stage, x: float, z: float) -> None:
    """Paint a car that crosses the street ``z`` metres ahead."""
    generator, air, lit = stage.generator, stage.air, stage.light_at(x, z)
    paint, direction = PAINTS[generator.integers(len(PAINTS))], generator.choice([-1, 1])
    stage.shadow(on_ground(x - 2.1, x + 2.1, z - 0.3, z + 1.5), SHADE * lit)
    car = Figure(stage, x, z, GRAIN, lit, breadth=direction)
    car.part(SIDE_BODY, paint, air + 2)
    car.part(BONNET, paint, air + generator.uniform(8, 16))
    car.part(REAR_WINDOW, GLASS, air - 1.5)
    car.part(FRONT_WINDOW, GLASS, air - 1.5)
    car.part(DOOR_GAP, (20, 20, 20), air + 2)
    for axle in (-1.35, 1.35):
        tyre, rim = ellipse(axle, 0.33, 0.68, 0.66), ellipse(axle, 0.33, 0.36, 0.36)
        car.part(tyre, (20, 20, 20), air + 8)
        car.part(rim, (150, 150, 152), air + 14)
