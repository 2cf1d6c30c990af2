"""Street scenes as a colour camera and a thermal camera beside it would show them.

THESE PAIRS ARE SIMULATED; THEY ARE NO MEASUREMENT. They serve to start, to test and to demonstrate without a
download; results that are to be believed need recorded pairs.

A scene is a list of flat shapes in metres, painted from far to near through a pinhole camera. Every shape
carries a colour for the one camera and a temperature for the other, so that the two images are aligned and
each shows what the other cannot: texture, writing, lane marks and lamps stand only in the visible image;
people in the dark, in shadow or behind smoke, engines, tyres and heated rooms only in the infrared one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusion_lab.data.synthetic.exposure import decode, encode

Colour = tuple[float, float, float]
"""sRGB, each of the three in [0, 255]."""


def _palette(codes: str) -> list[Colour]:
    """Return the colours of hexadecimal codes."""
    return [(float(code[0]), float(code[1]), float(code[2])) for code in map(bytes.fromhex, codes.split())]


SUPERSAMPLING = 2
SKY_DISTANCE = 1000.0
SKIN = 33.5
"""Temperature of bare skin out of doors, in degrees Celsius."""
WORDS = ("CAFE", "HOTEL", "BOOKS", "BANK", "PIZZA", "MARKET", "TAXI", "CINEMA", "METRO", "GARAGE")
CLOTHES = _palette("1c1e24 2c2a28 242c46 462222 5c6054 962824 beb8aa 3c543c")
PAINTS = _palette("aa1c1e 1e3c82 cececc 18191c 6e747a bea03c 326046")
WALLS = _palette("965442 b0785c beb096 847e78 a89678 78463c")


@dataclass(frozen=True)
class _Daytime:
    """Light and weather of an hour."""

    ambient: Colour
    """Linear light on a white surface in the open, per channel; 1 saturates the camera."""
    zenith: Colour
    horizon: Colour
    sunlit: float
    """Share of the light that a shadow takes away."""
    lamps: float
    """Linear light on a white surface below a street lamp."""
    noise: float
    """Standard deviation of the visible camera's noise, in linear light at full scale."""


DAYTIMES = {
    "day": _Daytime((0.95, 0.92, 0.86), (92, 140, 205), (205, 218, 230), 0.72, 0.0, 0.004),
    "overcast": _Daytime((0.55, 0.57, 0.60), (150, 158, 168), (196, 200, 204), 0.25, 0.0, 0.004),
    "dusk": _Daytime((0.15, 0.11, 0.12), (58, 62, 104), (226, 138, 84), 0.3, 0.5, 0.008),
    "night": _Daytime((0.012, 0.014, 0.022), (8, 10, 20), (26, 26, 36), 0.2, 0.75, 0.012),
}


@dataclass(frozen=True)
class _Camera:
    """A pinhole that looks along the street, in pixels of the supersampled image."""

    height: int
    width: int
    focal: float
    centre: float
    """Column of the vanishing point."""
    horizon: float
    """Row of the vanishing point."""
    altitude: float
    """Metres above the ground."""

    def project(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return columns and rows ``(N, 2)`` of points ``(N, 3)`` in metres: right, up and ahead."""
        ahead = np.maximum(points[:, 2], 0.5)
        columns = self.centre + self.focal * points[:, 0] / ahead
        rows = self.horizon + self.focal * (self.altitude - points[:, 1]) / ahead
        return np.stack([columns, rows], axis=1)

    @property
    def nearest(self) -> float:
        """Metres to the nearest ground in sight."""
        return self.focal * self.altitude / (self.height - self.horizon)


class _Stage:
    """What both cameras would see without optics, haze and noise."""

    def __init__(self, camera: _Camera, daytime: _Daytime, air: float, generator: np.random.Generator) -> None:
        self.camera, self.daytime, self.air, self.generator = camera, daytime, air, generator
        shape = (camera.height, camera.width)
        self.colour = np.zeros((*shape, 3), np.uint8)
        """Reflectance as 8-bit sRGB."""
        self.glow = np.zeros((*shape, 3), np.uint8)
        """Light emitted, as 8-bit sRGB."""
        self.matter = np.zeros((*shape, 4), np.float32)
        """Degrees Celsius, relative strength of the texture, share of light received, metres away."""
        self.lamps: list[tuple[float, float, float]] = []

    def paint(
        self,
        points: ArrayLike,
        colour: Colour,
        celsius: float,
        grain: float = 0.06,
        glow: Colour = (0, 0, 0),
        lit: float = 1.0,
    ) -> None:
        """Paint a polygon ``(N, 3)`` in metres over everything painted before."""
        points = np.asarray(points, np.float64)
        pixels = [np.rint(self.camera.project(points) * 16).astype(np.int32)]
        cv2.fillPoly(self.colour, pixels, colour, cv2.LINE_AA, shift=4)
        cv2.fillPoly(self.glow, pixels, glow, cv2.LINE_AA, shift=4)
        cv2.fillPoly(self.matter, pixels, (celsius, grain, lit, float(points[:, 2].mean())), shift=4)

    def paste(self, picture: NDArray[np.uint8], corners: ArrayLike, glow: float = 0.0) -> None:
        """Paste a picture ``(h, w, 3)`` into a quadrangle ``(4, 3)`` from its top left corner clockwise.

        Paint has no warmth of its own: the infrared camera sees only the surface beneath.
        """
        height, width = picture.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        target = self.camera.project(np.asarray(corners, np.float64))
        window, inside = self._inside(target)
        if not inside.any():
            return
        shifted = (target - (window[1].start, window[0].start)).astype(np.float32)
        warp = cv2.getPerspectiveTransform(source, shifted)
        size = inside.shape[::-1]
        warped = cv2.warpPerspective(picture, warp, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        self.colour[window][inside] = warped[inside]
        if glow:
            self.glow[window][inside] = (warped[inside] * glow).astype(np.uint8)

    def shadow(self, points: ArrayLike, lit: float) -> None:
        """Take light away from a polygon ``(N, 3)`` in metres."""
        window, inside = self._inside(self.camera.project(np.asarray(points, np.float64)))
        share = self.matter[window][..., 2]
        share[inside] = np.minimum(share[inside], lit)

    def _inside(self, corners: NDArray[np.float64]) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
        """Return the window around a polygon ``(N, 2)`` of pixels, and which of its pixels lie inside."""
        limits = (self.camera.width, self.camera.height)
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)) + 1, 0, limits).astype(int)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        if mask.size:
            cv2.fillPoly(mask, [np.rint((corners - (left, top)) * 16).astype(np.int32)], 1, shift=4)
        return (slice(top, bottom), slice(left, right)), mask > 0


def simulate_scene(seed: int, size: tuple[int, int] = (256, 320)) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Simulate an aligned pair of a street; nothing in it is measured.

    Args:
        seed: Chooses the hour, the weather, the place and everyone in it; the same seed gives the same bytes.
        size: Height and width in pixels.

    Returns:
        The visible image, 8-bit sRGB ``(H, W, 3)``, and the infrared one, 8 bit ``(H, W)``, white for hot.
    """
    generator = np.random.default_rng(seed)
    stage = _build(generator, size)
    smoke = _smoke(stage)
    return _photograph(stage, smoke), _thermograph(stage, smoke)


def _build(generator: np.random.Generator, size: tuple[int, int]) -> _Stage:
    """Choose a place and an hour and paint them."""
    height, width = (side * SUPERSAMPLING for side in size)
    camera = _Camera(
        height,
        width,
        focal=width * generator.uniform(0.8, 1.25),
        centre=width * generator.uniform(0.3, 0.7),
        horizon=height * generator.uniform(0.28, 0.45),
        altitude=generator.uniform(2.0, 4.5),
    )
    hour = str(generator.choice(list(DAYTIMES), p=[0.28, 0.14, 0.22, 0.36]))
    stage = _Stage(camera, DAYTIMES[hour], air=generator.uniform(-2, 20), generator=generator)
    road = generator.uniform(3.2, 5.5)
    kerb = road + generator.uniform(1.5, 3.5)
    _sky(stage)
    _ground(stage, road, kerb)
    parks = [side for side in (-1, 1) if generator.random() < 0.25]
    for side in sorted({-1, 1}.difference(parks)):
        _house_row(stage, side, kerb + generator.uniform(0, 1.5))
    if stage.daytime.sunlit > 0.5:
        side = generator.choice([-1, 1])
        reach = side * (kerb - generator.uniform(2, kerb + road))
        stage.shadow(_flat(side * kerb, reach, 1, 90), 1 - stage.daytime.sunlit)
    for _, paint in sorted(_inhabitants(stage, road, kerb, parks), key=lambda item: -item[0]):
        paint()
    return stage


def _array(colour: Colour) -> NDArray[np.float32]:
    return np.array(colour, np.float32)


def _clouds(shape: tuple[int, int], cells: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth noise ``(H, W)`` in about [-1, 1], the coarsest of its octaves ``cells`` waves a side."""
    total = np.zeros(shape, np.float32)
    for octave in range(4):
        side = cells * 2**octave
        waves = generator.uniform(-1, 1, (side, side)).astype(np.float32)
        total += 0.5**octave * cv2.resize(waves, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return total


def _flat(left: float, right: float, near: float, far: float) -> list[tuple[float, float, float]]:
    """Return the corners of a rectangle that lies on the ground."""
    return [(left, 0, near), (right, 0, near), (right, 0, far), (left, 0, far)]


def _sky(stage: _Stage) -> None:
    """Paint a gradient with clouds, colder overhead, and what stands at its foot."""
    camera, generator = stage.camera, stage.generator
    shape = (camera.height, camera.width)
    rows = np.arange(camera.height, dtype=np.float32)[:, None, None]
    height_in_sky = np.clip(1 - rows / camera.horizon, 0, 1)
    blend = height_in_sky**0.7
    colour = _array(stage.daytime.zenith) * blend + _array(stage.daytime.horizon) * (1 - blend)
    clouds = np.clip(_clouds(shape, 3, generator) - generator.uniform(-0.2, 0.6), 0, 1)[..., None]
    white = _array(stage.daytime.horizon) * 0.5 + 0.5 * _array(stage.daytime.horizon).max()
    stage.colour[:] = np.rint(colour * (1 - 0.7 * clouds) + white * 0.7 * clouds)
    stage.matter[..., 0] = stage.air - 4 - 9 * height_in_sky[..., 0] + 4 * clouds[..., 0]
    stage.matter[..., 2:] = (1, SKY_DISTANCE)
    tint = generator.uniform(60, 110)
    for column in np.arange(-0.2, 1.2, 0.09):
        left = (column * camera.width - camera.centre) / camera.focal * 220
        top, width = generator.uniform(4, 26), generator.uniform(14, 30)
        outline = [(left, 0, 220), (left, top, 220), (left + width, top, 220), (left + width, 0, 220)]
        stage.paint(outline, (tint, tint * 1.02, tint * 1.08), stage.air + generator.uniform(-1, 1))


def _ground(stage: _Stage, road: float, kerb: float) -> None:
    """Paint lawn or paving, pavements, the road and its marks."""
    air, near, far = stage.air, 0.8 * stage.camera.nearest, 300.0
    generator = stage.generator
    sun = 5 * stage.daytime.sunlit

    def strip(left: float, right: float, colour: Colour, celsius: float, grain: float) -> None:
        stage.paint(_flat(left, right, near, far), colour, celsius, grain)

    lawn = generator.random() < 0.5
    if lawn:
        strip(-80, 80, (78, 104, 52), air + 0.1 * sun, 0.4)
    else:
        strip(-80, 80, (140, 132, 120), air + 0.5 * sun, 0.15)
    grey = generator.uniform(120, 165)
    strip(-kerb, kerb, (grey, grey * 0.98, grey * 0.94), air + 1.5 + 0.8 * sun, 0.2)
    tar = generator.uniform(58, 92)
    strip(-road, road, (tar, tar, tar * 1.04), air + 3 + sun, 0.25)
    white: Colour = (214, 212, 204)
    # Paint sheds heat a little worse than tar, hence the trace of a difference.
    marks = air + 2.7 + sun
    for start in np.arange(near, 120, 6):
        stage.paint(_flat(-0.09, 0.09, start, start + 3), white, marks)
    for side in (-1, 1):
        stage.paint(_flat(side * (road - 0.35), side * (road - 0.2), near, far), white, marks)
    if generator.random() < 0.5:
        start = generator.uniform(near + 1, near + 12)
        for left in np.arange(-road + 0.6, road - 0.6, 1.0):
            stage.paint(_flat(left, left + 0.5, start, start + 3), white, marks)
    # A painted shape has one distance, but the ground lies at all of them.
    below = np.arange(stage.camera.height, dtype=np.float32) - stage.camera.horizon
    distance = stage.camera.focal * stage.camera.altitude / np.maximum(below, 1)
    ground = below > stage.camera.focal * stage.camera.altitude / far
    stage.matter[ground, :, 3] = distance[ground, None]


def _house_row(stage: _Stage, side: int, wall: float) -> None:
    """Paint the houses along one side of the street, whose fronts stand ``wall`` metres from its middle."""
    generator, near = stage.generator, 0.45 * stage.camera.nearest
    houses = []
    start = near
    while start < 110:
        length = generator.uniform(8, 16)
        houses.append((start, start + length, generator.uniform(5, 15)))
        start += length + (generator.uniform(3, 9) if generator.random() < 0.35 else 0)
    for start, end, height in reversed(houses):
        _house(stage, side * wall, start, end, height)


def _house(stage: _Stage, wall: float, start: float, end: float, height: float) -> None:
    """Paint one house: gable towards the camera, brickwork or plaster, windows, perhaps a sign."""
    generator = stage.generator
    colour = WALLS[generator.integers(len(WALLS))]
    celsius = stage.air + generator.uniform(1.5, 5)
    dim: Colour = (colour[0] * 0.7, colour[1] * 0.7, colour[2] * 0.7)
    away = wall + np.sign(wall) * 12
    stage.paint([(wall, 0, start), (wall, height, start), (away, height, start), (away, 0, start)], dim, celsius - 0.5)
    # Pieces, because a shape has only one distance.
    steps = np.linspace(end, start, 5)
    for far, near in pairwise(steps):
        stage.paint(
            [(wall, 0, near), (wall, height, near), (wall, height, far), (wall, 0, far)],
            colour,
            celsius,
            0.08,
        )

    def front(low: float, high: float, left: float, right: float) -> list[tuple[float, float, float]]:
        """Return a rectangle on the front, from its top left corner clockwise as seen from the street."""
        left, right = (left, right) if wall < 0 else (right, left)
        return [(wall, high, left), (wall, high, right), (wall, low, right), (wall, low, left)]

    if generator.random() < 0.6 and start < 40:
        stage.paste(_bricks(colour, (end - start, height), generator), front(0, height, start, end))
    storey, bay = generator.uniform(2.8, 3.4), generator.uniform(2.0, 3.0)
    dark = stage.daytime.lamps > 0
    for low in np.arange(1.0, height - 2, storey):
        for left in np.arange(start + 0.6, end - 1.4, bay):
            warm = generator.random() < 0.4
            light: Colour = (0, 0, 0)
            if dark and generator.random() < (0.55 if warm else 0.1):
                light = (235, generator.uniform(170, 205), generator.uniform(90, 140))
            inside = celsius + (generator.uniform(3, 9) if warm else generator.uniform(-2, 0.5))
            stage.paint(front(low - 0.1, low + 1.7, left - 0.1, left + 1.2), (216, 212, 202), celsius - 0.5)
            stage.paint(front(low, low + 1.6, left, left + 1.1), (52, 62, 74), inside, 0.02, light)
            stage.paint(front(low + 0.76, low + 0.84, left, left + 1.1), (216, 212, 202), inside - 1)
    if generator.random() < 0.6:
        left = generator.uniform(start, end - 4)
        stage.paint(front(2.9, 3.9, left, left + 4), (60, 60, 60), celsius - 0.3)
        stage.paste(_writing(generator), front(2.9, 3.9, left, left + 4), glow=0.8 if dark else 0.0)


def _bricks(colour: Colour, metres: tuple[float, float], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a wall ``(h, w, 3)`` of running bond, of the given width and height in metres."""
    unit = 9
    rows, columns = int(metres[1] / 0.16), int(metres[0] / 0.45)
    shades = generator.uniform(0.72, 1.15, (rows, columns, 1)).astype(np.float32)
    wall = np.repeat(np.repeat(shades * _array(colour), unit, axis=0), 2 * unit, axis=1)
    wall[::unit] = wall[1::unit] = (196, 188, 176)
    for row in range(rows):
        wall[row * unit : (row + 1) * unit, (row % 2) * unit :: 2 * unit] = (196, 188, 176)
    return np.clip(wall, 0, 255).astype(np.uint8)


def _writing(generator: np.random.Generator) -> NDArray[np.uint8]:
    """Return a board ``(60, 240, 3)`` with a word on it."""
    paper, ink = generator.permutation(
        np.array([(232, 228, 214), (156, 28, 34), (24, 62, 120), (22, 90, 62), (238, 196, 44)])
    )[:2]
    board = np.full((60, 240, 3), paper, np.uint8)
    word = str(generator.choice(WORDS))
    (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.5, 4)
    origin = ((240 - width) // 2, (60 + height) // 2)
    cv2.putText(board, word, origin, cv2.FONT_HERSHEY_DUPLEX, 1.5, ink.tolist(), 4, cv2.LINE_AA)
    return board


def _inhabitants(stage: _Stage, road: float, kerb: float, parks: list[int]) -> list[tuple[float, Callable[[], None]]]:
    """Return all that stands on the ground, each as its distance and the call that paints it."""
    generator, near = stage.generator, stage.camera.nearest
    found: list[tuple[float, Callable[[], None]]] = []

    def place(paint: Callable[..., None], x: float, z: float) -> None:
        found.append((z, partial(paint, stage, x, z)))

    for side in (-1, 1):
        if generator.random() < 0.7:
            for z in np.arange(near + generator.uniform(0, 6), 70, generator.uniform(9, 18)):
                place(_tree, side * (kerb - 0.5), z)
        spacing = generator.uniform(16, 24)
        for z in np.arange(near + generator.uniform(1, 8), 90, spacing):
            stage.lamps.append((side * (road + 0.4), 5.5, z))
            place(_lamp, side * (road + 0.4), z)
    for side in parks:
        for z in near + np.cumsum(generator.uniform(1, 6, 14)):
            place(_tree, side * (kerb + generator.uniform(1, 0.9 * z)), z)
    for lane in (-1, 1):
        for z in near + np.cumsum(generator.uniform(5, 30, generator.integers(0, 4))):
            place(_car_from_end, lane * road / 2, z)
    if generator.random() < 0.4:
        place(_car_from_side, generator.uniform(-3, 3), near + generator.uniform(6, 25))
    for _ in range(generator.integers(3, 9)):
        z = near * np.exp(generator.uniform(0.15, 1.9))
        column = generator.uniform(0.06, 0.94) * stage.camera.width
        x = np.clip((column - stage.camera.centre) / stage.camera.focal * z, -kerb, kerb)
        place(_person, x, z)
        if generator.random() < 0.3:
            place(_person, x + generator.uniform(0.6, 0.9), z + 0.2)
    return found


def _ellipse(u: float, v: float, width: float, height: float) -> NDArray[np.float64]:
    """Return the outline ``(N, 2)`` of an ellipse around ``(u, v)``."""
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    return np.stack([u + width / 2 * np.cos(angles), v + height / 2 * np.sin(angles)], axis=1)


def _limb(start: ArrayLike, end: ArrayLike, thick: float, thin: float) -> NDArray[np.float64]:
    """Return the outline ``(N, 2)`` of a tapering limb with round ends."""
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    along = np.arctan2(*(end - start)[::-1])
    turn = np.linspace(np.pi / 2, 3 * np.pi / 2, 7) + along
    cap = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    return np.concatenate([start + thick / 2 * cap, end - thin / 2 * cap])


def _upright(outline: ArrayLike, x: float, z: float, scale: float = 1.0) -> NDArray[np.float64]:
    """Stand a flat outline ``(N, 2)`` in metres upon the ground at ``x``, ``z``."""
    outline = np.asarray(outline, np.float64) * scale
    return np.column_stack([x + outline[:, 0], outline[:, 1], np.full(len(outline), z)])


def _light_at(stage: _Stage, x: float, z: float) -> float:
    """Return the share of light that the ground at ``x``, ``z`` receives."""
    column, row = stage.camera.project(np.array([[x, 0.0, z]]))[0].round().astype(int)
    inside = 0 <= row < stage.camera.height and 0 <= column < stage.camera.width
    return float(stage.matter[row, column, 2]) if inside else 1.0


def _person(stage: _Stage, x: float, z: float) -> None:
    """Paint someone who walks or stands, dressed for the weather."""
    generator, lit = stage.generator, _light_at(stage, x, z)
    tall = generator.uniform(1.55, 1.9)
    # Seen from the side, people are narrower.
    broad = generator.uniform(0.9, 1.1) * generator.choice([1.0, 0.72])
    stride = generator.uniform(0.0, 0.14) * generator.choice([-1, 1])
    swing = -0.7 * stride
    coat, trousers = (CLOTHES[index] for index in generator.integers(0, len(CLOTHES), 2))
    # Clothes keep most of the body's warmth in when it is cold.
    cloth = stage.air + generator.uniform(0.42, 0.62) * (SKIN - stage.air)
    legs = cloth - 1.5
    tone = generator.uniform(0.35, 1.0)
    skin: Colour = (226 * tone, 178 * tone, 150 * tone)
    hair: Colour = (58 * tone, 44 * tone, 34 * tone)
    stage.shadow(_upright(_ellipse(0, 0, 0.7, 0.1), x, z), 0.55 * lit)

    def part(outline: ArrayLike, colour: Colour, celsius: float, grain: float = 0.1) -> None:
        widened = np.asarray(outline, np.float64) * (broad, 1.0)
        stage.paint(_upright(widened, x, z, tall), colour, celsius, grain, lit=lit)

    part(_limb((0.045, 0.49), (stride, 0.05), 0.1, 0.06), trousers, legs)
    part(_limb((-0.045, 0.49), (-stride, 0.05), 0.1, 0.06), trousers, legs)
    for foot in (stride, -stride):
        part(_limb((foot - 0.01, 0.02), (foot + 0.05, 0.015), 0.045, 0.035), (30, 28, 26), stage.air + 4)
    shoulder, hand = 0.105, 0.128
    part(_limb((-shoulder, 0.785), (-hand + swing, 0.5), 0.065, 0.05), coat, cloth - 1)
    part(_ellipse(-hand + swing, 0.465, 0.04, 0.055), skin, SKIN - 3)
    left = [(-0.03, 0.84), (-0.09, 0.825), (-0.125, 0.79), (-0.105, 0.68), (-0.085, 0.6), (-0.1, 0.45)]
    part(left + [(-u, v) for u, v in reversed(left)], coat, cloth)
    part(_limb((0, 0.8), (0, 0.88), 0.06, 0.055), skin, SKIN)
    part(_limb((shoulder, 0.785), (hand - swing, 0.5), 0.065, 0.05), coat, cloth - 1)
    part(_ellipse(hand - swing, 0.465, 0.04, 0.055), skin, SKIN - 3)
    part(_ellipse(0, 0.94, 0.094, 0.13), hair, SKIN - 5)
    part(_ellipse(0, 0.92, 0.08, 0.1), skin, SKIN)


def _car_from_end(stage: _Stage, x: float, z: float) -> None:
    """Paint a car from the front (oncoming, left of the middle) or from behind."""
    generator, air, lit = stage.generator, stage.air, _light_at(stage, x, z)
    paint = PAINTS[generator.integers(len(PAINTS))]
    oncoming = x < 0
    # A bonnet warms up on the road; a parked car is as cold as the air.
    running = generator.random() < 0.75
    warm = air + (generator.uniform(8, 16) if running else 1.0)
    stage.shadow(_flat(x - 1, x + 1, z - 0.3, z + 3.5), 0.35 * lit)

    def part(outline: ArrayLike, colour: Colour, celsius: float, glow: Colour = (0, 0, 0)) -> None:
        stage.paint(_upright(outline, x, z), colour, celsius, 0.03, glow, lit)

    for side in (-1, 1):
        part(_ellipse(side * 0.68, 0.3, 0.24, 0.62), (22, 22, 22), air + (9 if running else 0.5))
    part([(-0.7, 0.22), (0.7, 0.22), (0.7, 0.4), (-0.7, 0.4)], (16, 16, 18), air + (5 if running else 0.5))
    part([(-0.72, 0.85), (-0.56, 1.4), (-0.4, 1.46), (0.4, 1.46), (0.56, 1.4), (0.72, 0.85)], paint, air + 2)
    part([(-0.62, 0.9), (-0.5, 1.34), (0.5, 1.34), (0.62, 0.9)], (40, 48, 56), air - 1.5)
    body = [(-0.86, 0.32), (-0.9, 0.6), (-0.82, 0.9), (0.82, 0.9), (0.9, 0.6), (0.86, 0.32)]
    part(body, paint, warm - 3 if oncoming else air + 2.5)
    shine = stage.daytime.lamps > 0 and running
    lamp: Colour = (255, 246, 220) if oncoming else (235, 30, 24)
    for side in (-1, 1):
        part(
            _ellipse(side * 0.68, 0.68, 0.28, 0.15),
            lamp,
            warm if oncoming else air + 5,
            lamp if shine else (0, 0, 0),
        )
    if oncoming:
        part([(-0.45, 0.48), (-0.45, 0.76), (0.45, 0.76), (0.45, 0.48)], (26, 26, 28), warm + 6)
    else:
        part(_ellipse(-0.5, 0.3, 0.14, 0.1), (60, 60, 60), warm + 12)
    plate = [(x - 0.26, 0.56, z), (x + 0.26, 0.56, z), (x + 0.26, 0.43, z), (x - 0.26, 0.43, z)]
    stage.paste(_writing(generator), plate)


def _car_from_side(stage: _Stage, x: float, z: float) -> None:
    """Paint a car that crosses the street."""
    generator, air, lit = stage.generator, stage.air, _light_at(stage, x, z)
    paint, ahead = PAINTS[generator.integers(len(PAINTS))], generator.choice([-1, 1])
    stage.shadow(_flat(x - 2.1, x + 2.1, z - 0.3, z + 1.5), 0.35 * lit)

    def part(outline: ArrayLike, colour: Colour, celsius: float) -> None:
        stage.paint(_upright(np.asarray(outline) * (ahead, 1.0), x, z), colour, celsius, 0.03, lit=lit)

    body = [
        (-2.1, 0.3),
        (-2.15, 0.75),
        (-1.95, 0.95),
        (-1.3, 1.0),
        (-0.75, 1.4),
        (0.4, 1.44),
        (1.1, 0.98),
        (1.95, 0.84),
    ]
    part([*body, (2.1, 0.6), (2.05, 0.3)], paint, air + 2)
    part([(1.0, 0.5), (1.0, 0.96), (1.95, 0.82), (2.05, 0.5)], paint, air + generator.uniform(8, 16))
    part([(-1.12, 1.0), (-0.7, 1.33), (-0.2, 1.35), (-0.2, 1.0)], (40, 48, 56), air - 1.5)
    part([(-0.1, 1.0), (-0.1, 1.35), (0.36, 1.36), (0.92, 1.0)], (40, 48, 56), air - 1.5)
    part([(-0.16, 0.35), (-0.16, 0.98), (-0.12, 0.98), (-0.12, 0.35)], (20, 20, 20), air + 2)
    for axle in (-1.35, 1.35):
        part(_ellipse(axle, 0.33, 0.68, 0.66), (20, 20, 20), air + 8)
        part(_ellipse(axle, 0.33, 0.36, 0.36), (150, 150, 152), air + 14)


def _tree(stage: _Stage, x: float, z: float) -> None:
    """Paint a trunk and a crown of many leaves; the leaves are as warm as the air."""
    generator, lit = stage.generator, _light_at(stage, x, z)
    tall = generator.uniform(4, 7)
    green = generator.uniform(0.7, 1.2)
    stage.shadow(_upright(_ellipse(0, 0, 3, 0.2), x, z), 0.5 * lit)
    stage.paint(
        _upright(_limb((0, 0), (0.1, 0.6 * tall), 0.3, 0.2), x, z),
        (70, 56, 44),
        stage.air + 1.5,
        0.3,
        lit=lit,
    )
    for _ in range(70):
        angle, radius = generator.uniform(0, 2 * np.pi), np.sqrt(generator.random())
        u, v = 0.28 * tall * radius * np.cos(angle), 0.72 * tall + 0.27 * tall * radius * np.sin(angle)
        # The light comes from above.
        bright = green * (0.65 + 0.35 * (v / tall - 0.45) / 0.54 + generator.uniform(-0.15, 0.15))
        leaf = _ellipse(u, v, *generator.uniform(0.12, 0.26, 2) * tall * 0.6)
        colour: Colour = (64 * bright, 96 * bright, 44 * bright)
        stage.paint(_upright(leaf, x, z), colour, stage.air + generator.uniform(-0.4, 0.4), 0.4, lit=lit)


def _lamp(stage: _Stage, x: float, z: float) -> None:
    """Paint a street lamp, lit after sunset."""
    on = stage.daytime.lamps > 0
    arm = -np.sign(x) * 0.9
    glow: Colour = (255, 226, 170) if on else (0, 0, 0)
    stage.paint(_upright(_limb((0, 0), (0, 5.5), 0.16, 0.1), x, z), (70, 74, 76), stage.air - 0.5)
    stage.paint(_upright(_limb((0, 5.5), (arm, 5.6), 0.1, 0.08), x, z), (70, 74, 76), stage.air - 0.5)
    head = _upright(_ellipse(arm, 5.55, 0.6, 0.2), x, z)
    stage.paint(head, (200, 200, 190), stage.air + (12 if on else 0), glow=glow)


def _smoke(stage: _Stage) -> NDArray[np.float32]:
    """Return the opacity ``(H, W)`` of drifting smoke to visible light; zero in most scenes."""
    camera, generator = stage.camera, stage.generator
    shape = (camera.height, camera.width)
    if generator.random() < 0.65:
        return np.zeros(shape, np.float32)
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    centre = generator.uniform(0.15, 0.85) * camera.width
    spread = generator.uniform(0.12, 0.3) * camera.width
    middle, tall = camera.horizon + 0.12 * camera.height, 0.25 * camera.height
    cloud = np.exp(-(((columns - centre) / spread) ** 2) - ((rows - middle) / tall) ** 2)
    return np.clip(cloud * (1.1 + 0.55 * _clouds(shape, 4, generator)), 0, 0.95).astype(np.float32)


def _photograph(stage: _Stage, smoke: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what the visible camera shows, ``(H, W, 3)``."""
    camera, generator, daytime = stage.camera, stage.generator, stage.daytime
    shape = (camera.height, camera.width)
    _, grain, lit, distance = cv2.split(stage.matter)
    sky = distance >= SKY_DISTANCE
    texture = 1.2 * generator.standard_normal(shape, np.float32) + 0.6 * _clouds(shape, 32, generator)
    reflectance = decode(stage.colour) * np.clip(1 + grain * texture, 0.1, 2)[..., None]
    light = _array(daytime.ambient) * lit[..., None]
    columns = np.arange(camera.width, dtype=np.float32) - camera.centre
    aside = columns * distance / camera.focal
    if daytime.lamps:
        for x, _, z in stage.lamps:
            squared = (aside - x) ** 2 + (distance - z) ** 2
            light = light + _array((1.0, 0.84, 0.58)) * (daytime.lamps / (1 + squared / 6))[..., None]
    emitted = decode(stage.glow)
    halo = cv2.GaussianBlur(emitted, (0, 0), 0.02 * camera.width) + cv2.GaussianBlur(
        emitted, (0, 0), 0.006 * camera.width
    )
    scene = np.where(sky[..., None], decode(stage.colour), reflectance * light)
    air_light = decode(_array(daytime.horizon).astype(np.uint8)) * np.float32(0.9)
    clear = np.exp(-distance / generator.uniform(120, 500))[..., None]
    scene = np.where(sky[..., None], scene, scene * clear + air_light * (1 - clear)) + emitted + 0.8 * halo
    grey = _array(daytime.ambient) * 0.55 + 0.15 * halo
    scene = scene * (1 - smoke[..., None]) + grey * smoke[..., None]
    scene = cv2.resize(scene, None, fx=1 / SUPERSAMPLING, fy=1 / SUPERSAMPLING, interpolation=cv2.INTER_AREA)
    noise = daytime.noise * np.sqrt(scene + 0.02) * generator.standard_normal(scene.shape, np.float32)
    return encode(scene + noise)


def _thermograph(stage: _Stage, smoke: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return what the infrared camera shows, ``(H, W)``: blurred, noisy, its contrast stretched."""
    generator, air = stage.generator, stage.air
    celsius, _, lit, distance = cv2.split(stage.matter)
    unevenness = 0.35 * _clouds((stage.camera.height, stage.camera.width), 6, generator)
    celsius = celsius - 4 * stage.daytime.sunlit * (1 - lit) + unevenness
    # Smoke is nearly transparent at ten micrometres, and so is clean air.
    clear = np.where(distance < SKY_DISTANCE, np.exp(-distance / 600), 1) * (1 - 0.2 * smoke)
    celsius = air + (celsius - air) * clear
    celsius = cv2.resize(celsius, None, fx=1 / SUPERSAMPLING, fy=1 / SUPERSAMPLING, interpolation=cv2.INTER_AREA)
    celsius = cv2.GaussianBlur(celsius, (0, 0), generator.uniform(0.8, 1.2))
    height, width = celsius.shape
    fixed = 0.15 * generator.standard_normal((1, width)) + 0.08 * generator.standard_normal((height, width))
    celsius = celsius + fixed + 0.12 * generator.standard_normal((height, width))
    coldest = max(float(np.percentile(celsius, 0.5)), air - 13)
    hottest = max(float(np.percentile(celsius, 99.8)), air + 12)
    return np.rint(255 * np.clip((celsius - coldest) / (hottest - coldest), 0, 1)).astype(np.uint8)
