"""Shallow depth of field, rendered from one sharp image and its depth.

Depth is told as 0 for the nearest and 1 for the farthest point, uniform in inverse distance (so 1 minus the
normalised disparity of a stereo pair): a thin lens then blurs a point into a disc whose radius is
proportional to its depth's difference from the focused one (Potmesil & Chakravarty, "A lens and aperture
camera model for synthetic image generation", SIGGRAPH 1981).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from fusion_lab.data.synthetic.exposure import decode, encode

_SLOPE = 0.25
"""Neighbours that differ by less depth than this belong to one sloping surface, by more to two objects."""

_LEAST_COVERAGE = np.float32(1e-4)
"""Less is the rounding of a convolution, and no colour can be told from it."""

_LAYERS = 12
"""Layers per unit of depth."""


def defocus(
    image: NDArray[np.uint8],
    depth: NDArray[np.floating],
    focus_depth: float,
    max_radius: float,
    depth_of_field: float = 0.0,
) -> NDArray[np.uint8]:
    """Blur what is out of focus.

    The scene is cut into layers of equal blur, composed from back to front: a blurred near layer spills over
    the farther ones, while a blurred far layer ends at the edge of a nearer one.

    Args:
        image: The sharp image, 8-bit sRGB, ``(H, W, 3)``.
        depth: ``(H, W)`` in [0, 1], 0 nearest.
        focus_depth: The depth of the focused plane.
        max_radius: Radius in pixels of the disc that a point one whole unit of depth out of focus becomes.
        depth_of_field: Width of the range of depths around the focused plane that counts as sharp.

    Returns:
        8-bit sRGB, ``(H, W, 3)``; pixels in focus that no blurred nearer layer covers are those of ``image``.
    """
    offset = np.asarray(depth, np.float32) - np.float32(focus_depth)
    out_of_focus = np.sign(offset) * np.maximum(np.abs(offset) - depth_of_field / 2, 0)
    layer_of_pixel = np.rint(out_of_focus * _LAYERS).astype(np.int32)
    # Each layer reaches under the next nearer ones, or the cuts would show as seams on sloping surfaces.
    overlap = int(_SLOPE * _LAYERS)

    # Light and coverage as premultiplied RGBA, for which "over" is linear (Porter & Duff, SIGGRAPH 1984).
    opaque = np.dstack([decode(image), np.ones(depth.shape, np.float32)])
    scene = np.zeros_like(opaque)
    for layer in np.unique(layer_of_pixel)[::-1]:
        belongs = (layer_of_pixel <= layer) & (layer_of_pixel >= layer - overlap)
        sharp = opaque * belongs[..., None]
        disc = disc_kernel(max_radius * abs(int(layer)) / _LAYERS)
        blurred = cv2.filter2D(sharp, -1, disc, borderType=cv2.BORDER_REPLICATE)
        scene = blurred + _fill_behind(scene, max_radius) * (1 - blurred[..., 3:])
    return encode(scene[..., :3] / np.maximum(scene[..., 3:], _LEAST_COVERAGE))


def focus_pair(
    image: NDArray[np.uint8],
    depth: NDArray[np.floating],
    max_radius: float = 10.0,
    split: float = 0.5,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return one image focused on what is nearer than ``split`` and one focused on what is farther.

    The two ranges of sharp depths meet at ``split``, so that every surface is sharp in one of the two and
    ``image`` is the ideal fusion of the pair.

    Args:
        image: The sharp image, 8-bit sRGB, ``(H, W, 3)``.
        depth: ``(H, W)`` in [0, 1], 0 nearest.
        max_radius: As for `defocus`.
        split: The depth that divides near from far, in (0, 1).

    Returns:
        The image with the near and the one with the far range in focus, each 8-bit sRGB, ``(H, W, 3)``.
    """
    near = defocus(image, depth, split / 2, max_radius, depth_of_field=split)
    far = defocus(image, depth, (1 + split) / 2, max_radius, depth_of_field=1 - split)
    return near, far


def smooth_depth(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Invent a depth map for a photograph that has none.

    Ground that recedes towards the top, waves of low frequency, and a few objects that stand in front, whose
    edges are soft over about four pixels.

    Args:
        shape: ``(H, W)``.
        generator: Source of every choice.

    Returns:
        Depth ``(H, W)``, from exactly 0 (nearest) to exactly 1.
    """
    rows, columns = np.mgrid[0 : 1 : complex(shape[0]), 0 : 1 : complex(shape[1])].astype(np.float32)
    tilt = generator.uniform(-0.4, 0.4)
    waves = cv2.resize(
        generator.uniform(-0.2, 0.2, (4, 4)).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC
    )
    depth = 1 - rows + tilt * columns + waves
    for _ in range(generator.integers(1, 4)):
        depth = depth - generator.uniform(0.35, 0.7) * _object_mask(shape, generator)
    depth -= depth.min()
    # A single pixel has no range.
    return depth / (depth.max() or np.float32(1))


def disc_kernel(radius: float) -> NDArray[np.float32]:
    """Return the point-spread of a round aperture, ``(K, K)`` with K odd, of sum 1, its rim antialiased."""
    reach = int(np.ceil(radius))
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    coverage = np.clip(radius + 0.5 - np.hypot(axis[:, None], axis), 0, 1).astype(np.float32)
    return coverage / coverage.sum()


def _fill_behind(scene: NDArray[np.float32], reach: float) -> NDArray[np.float32]:
    """Continue premultiplied RGBA behind the nearer layers, whose blurred rims let it shine through."""
    side = 2 * int(np.ceil(reach)) + 1
    around = cv2.blur(scene, (side, side), borderType=cv2.BORDER_REPLICATE)
    continued = around / np.maximum(around[..., 3:], _LEAST_COVERAGE)
    return np.asarray(scene + continued * (1 - scene[..., 3:]), np.float32)


def _object_mask(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float32]:
    """Return the coverage in [0, 1] of one rounded shape, ``(H, W)``."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    lobes = np.zeros_like(angles)
    for order in (2, 3):
        lobes += generator.uniform(0, 0.15) * np.sin(order * angles + generator.uniform(0, 2 * np.pi))
    radii = generator.uniform(0.14, 0.28) * min(shape) * (1 + lobes)
    directions = np.stack([np.cos(angles), generator.uniform(0.8, 1.6) * np.sin(angles)], axis=1)
    outline = generator.uniform(0.15, 0.85, 2) * shape[::-1] + radii[:, None] * directions
    mask = cv2.fillPoly(np.zeros(shape, np.float32), [np.rint(outline).astype(np.int32)], 1.0)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 2.0), np.float32)
