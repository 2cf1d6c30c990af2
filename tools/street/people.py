"""People, dressed for the weather."""

from tools.street.colours import Colour, palette, scaled
from tools.street.figure import Figure
from tools.street.shapes import ellipse, limb, symmetric, upright
from tools.street.stage import Stage

SKIN_CELSIUS = 33.5
"""Temperature of bare skin out of doors."""
CLOTHES = palette("1c1e24 2c2a28 242c46 462222 5c6054 962824 beb8aa 3c543c")
SHOES: Colour = (30, 28, 26)
# Outlines are in parts of the person's height.
SHOULDER, HAND = 0.105, 0.128
LEFT_HALF_OF_COAT = [(-0.03, 0.84), (-0.09, 0.825), (-0.125, 0.79), (-0.105, 0.68), (-0.085, 0.6), (-0.1, 0.45)]


def paint_person(stage: Stage, x: float, z: float) -> None:
    """Paint someone who walks or stands, ``x`` metres to the right and ``z`` ahead."""
    generator, lit = stage.generator, stage.light_at(x, z)
    tall = generator.uniform(1.55, 1.9)
    # Seen from the side, people are narrower.
    broad = generator.uniform(0.9, 1.1) * generator.choice([1.0, 0.72])
    stride = generator.uniform(0.0, 0.14) * generator.choice([-1, 1])
    coat, trousers = (CLOTHES[index] for index in generator.integers(0, len(CLOTHES), 2))
    # Clothes keep most of the body's warmth in when it is cold.
    cloth = stage.air + generator.uniform(0.42, 0.62) * (SKIN_CELSIUS - stage.air)
    tone = generator.uniform(0.35, 1.0)
    skin, hair = scaled((226, 178, 150), tone), scaled((58, 44, 34), tone)
    stage.shadow(upright(ellipse(0, 0, 0.7, 0.1), x, z), 0.55 * lit)
    person = Figure(stage, x, z, grain=0.1, lit=lit, height=tall, breadth=broad)

    def arm(side: int) -> None:
        # Arms swing against the legs.
        hand = side * (HAND + 0.7 * stride)
        person.part(limb((side * SHOULDER, 0.785), (hand, 0.5), 0.065, 0.05), coat, cloth - 1)
        person.part(ellipse(hand, 0.465, 0.04, 0.055), skin, SKIN_CELSIUS - 3)

    for side in (1, -1):
        person.part(limb((side * 0.045, 0.49), (side * stride, 0.05), 0.1, 0.06), trousers, cloth - 1.5)
    for foot in (stride, -stride):
        person.part(limb((foot - 0.01, 0.02), (foot + 0.05, 0.015), 0.045, 0.035), SHOES, stage.air + 4)
    arm(-1)
    person.part(symmetric(LEFT_HALF_OF_COAT), coat, cloth)
    person.part(limb((0, 0.8), (0, 0.88), 0.06, 0.055), skin, SKIN_CELSIUS)
    arm(1)
    person.part(ellipse(0, 0.94, 0.094, 0.13), hair, SKIN_CELSIUS - 5)
    person.part(ellipse(0, 0.92, 0.08, 0.1), skin, SKIN_CELSIUS)
