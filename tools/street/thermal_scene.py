"""Street scenes as a colour camera and a thermal camera beside it would show them.

THESE PAIRS ARE SIMULATED; THEY ARE NO MEASUREMENT. They serve to start, to test and to demonstrate without a
download; results that are to be believed need recorded pairs.

A scene is a list of flat shapes in metres, painted from far to near through a pinhole camera. Every shape
carries a colour for the one camera and a temperature for the other, so that the two images are aligned and
each shows what the other cannot: texture, writing, lane marks and lamps stand only in the visible image;
people in the dark, in shadow or behind smoke, engines, tyres and heated rooms only in the infrared one.
"""

import numpy as np
from numpy.typing import NDArray

from tools.street.daytime import DAYTIMES
from tools.street.ground import Street, paint_ground
from tools.street.houses import paint_house_row
from tools.street.pinhole import SUPERSAMPLING, PinholeCamera
from tools.street.placement import paint_inhabitants
from tools.street.shapes import on_ground
from tools.street.sky import paint_sky, paint_skyline
from tools.street.smoke import drifting_smoke
from tools.street.stage import Stage
from tools.street.thermal_camera import thermograph
from tools.street.visible_camera import photograph

HOUR_SHARES = {"day": 0.28, "overcast": 0.14, "dusk": 0.22, "night": 0.36}
"""How often each hour is chosen."""


def simulate_scene(seed: int, size: tuple[int, int] = (256, 320)) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Simulate an aligned pair of a street; nothing in it is measured.

    Args:
        seed: Chooses the hour, the weather, the place and everyone in it; the same seed gives the same bytes.
        size: Height and width in pixels.

    Returns:
        The visible image, 8-bit sRGB ``(H, W, 3)``, and the infrared one, 8 bit ``(H, W)``, white for hot.
    """
    # All draw from one generator, one after the other: another order would give another scene.
    generator = np.random.default_rng(seed)
    stage = _choose_stage(generator, size)
    _paint_scene(stage)
    smoke = drifting_smoke(stage)
    return photograph(stage, smoke), thermograph(stage, smoke)


def _choose_stage(generator: np.random.Generator, size: tuple[int, int]) -> Stage:
    """Return an empty stage for an image of a height and width in pixels: a place to look from and an hour."""
    height, width = (side * SUPERSAMPLING for side in size)
    camera = PinholeCamera(
        height,
        width,
        focal=width * generator.uniform(0.8, 1.25),
        centre=width * generator.uniform(0.3, 0.7),
        horizon=height * generator.uniform(0.28, 0.45),
        altitude=generator.uniform(2.0, 4.5),
    )
    hour = str(generator.choice(list(HOUR_SHARES), p=list(HOUR_SHARES.values())))
    return Stage(camera, DAYTIMES[hour], air=generator.uniform(-2, 20), generator=generator)


def _paint_scene(stage: Stage) -> None:
    """Choose a street and paint it from far to near."""
    generator = stage.generator
    road = generator.uniform(3.2, 5.5)
    street = Street(road, kerb=road + generator.uniform(1.5, 3.5))
    paint_sky(stage)
    paint_skyline(stage)
    paint_ground(stage, street)
    parks = [side for side in (-1, 1) if generator.random() < 0.25]
    for side in (-1, 1):
        if side not in parks:
            paint_house_row(stage, side * (street.kerb + generator.uniform(0, 1.5)))
    if stage.daytime.sunlit > 0.5:
        _cast_shadow_of_houses(stage, street)
    paint_inhabitants(stage, street, parks)


def _cast_shadow_of_houses(stage: Stage, street: Street) -> None:
    """Take the sun from one side of the street, as far across as it stands low."""
    generator = stage.generator
    side = generator.choice([-1, 1])
    reach = side * (street.kerb - generator.uniform(2, street.kerb + street.road))
    stage.shadow(on_ground(side * street.kerb, reach, 1, 90), 1 - stage.daytime.sunlit)
