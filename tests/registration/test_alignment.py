import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut, camera

from fusion_lab.data.images import Picture
from fusion_lab.errors import FusionLabError
from fusion_lab.registration import align_pictures, find_alignment, warp_picture
from fusion_lab.registration.alignment import BASE

HEIGHT = 240


def corners(matrix):
    points = np.array([[[0, 0], [BASE - 1, 0], [0, HEIGHT - 1], [BASE - 1, HEIGHT - 1]]], float)
    return cv2.perspectiveTransform(points, matrix)[0]


def error(found, known):
    """The mean distance between where two warps put the corners of 320 x 240 pixels."""
    return float(np.linalg.norm(corners(found) - corners(known), axis=1).mean())


def random_warp(seed, width, height):
    """A homography: scale up to 10 %, shifts of up to 12 pixels and each corner by up to 8."""
    draw = np.random.default_rng(seed)
    points = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float32)
    centre = np.float32([width / 2, height / 2])
    moved = (points - centre) * (1 + draw.uniform(-0.1, 0.1)) + centre + draw.uniform(-12, 12, 2)
    return cv2.getPerspectiveTransform(points, (moved + draw.uniform(-8, 8, (4, 2))).astype(np.float32))


def warped_pair(a, b, seed):
    """Two grey images of 320 x 240 pixels without borders of the warp, the warp, and the second image without it."""
    scale = max(400 / a.shape[1], 300 / a.shape[0])
    a, b = (cv2.resize(x, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for x in (a, b))
    height, width = a.shape
    matrix = random_warp(seed, width, height)
    warped = cv2.warpPerspective(b, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    top, left = (height - HEIGHT) // 2, (width - BASE) // 2
    place = np.array([[1, 0, left], [0, 1, top], [0, 0, 1.0]])
    a, warped, b = (x[top : top + HEIGHT, left : left + BASE] for x in (a, warped, b))
    return a, warped, np.linalg.inv(place) @ matrix @ place, b


def test_a_warp_is_found_also_with_inverted_levels():
    a, b, known, _ = warped_pair(camera(), 255 - camera(), 1)
    found = find_alignment(a, b)
    assert found.trusted
    assert error(found.matrix, known) < 1
    moved = warp_picture(Picture(b), found.matrix, found.size)
    inner = (slice(40, -40), slice(40, -40))
    assert abs(255 - moved.pixels[inner].astype(int) - a[inner]).mean() < 3


def test_another_resolution_is_found():
    image = camera()
    small = cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA)
    found = find_alignment(image, small)
    assert found.trusted
    points = cv2.perspectiveTransform(np.array([[[0, 0], [511, 0], [0, 511], [511, 511.0]]]), found.matrix)[0]
    expected = (np.array([[0, 0], [511, 0], [0, 511], [511, 511]]) + 0.5) * 200 / 512 - 0.5
    np.testing.assert_allclose(points, expected, atol=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_what_does_not_belong_together_is_told_and_changes_nothing(seed):
    noise = np.random.default_rng(seed).integers(0, 256, (240, 320), np.uint8)
    other = cv2.resize(cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY), (320, 240))
    for a, b in ((cv2.resize(camera(), (320, 240)), noise), (noise, other), (other, np.full_like(other, 7))):
        picture = Picture(b)
        moved, found = align_pictures(Picture(a), picture)
        assert not found.trusted
        assert found.doubts
        assert moved is picture


def test_another_scene_is_not_taken_for_the_same():
    other = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
    assert not find_alignment(camera(), other).trusted


def test_colours_and_alpha_move_along():
    rgb = astronaut()
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    matrix = np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]])
    moved = warp_picture(Picture(rgb, alpha), matrix, (100, 90))
    np.testing.assert_array_equal(moved.pixels[10:], rgb[8:88, 3:103])
    assert moved.alpha.shape == (90, 100)


@pytest.mark.parametrize(
    ("a", "b", "model", "told"),
    [
        (camera()[:20], camera(), "homography", "less than 32 pixels"),
        (camera(), camera(), "spline", "translation, affine, homography"),
    ],
)
def test_mistakes(a, b, model, told):
    with pytest.raises(FusionLabError, match=told):
        find_alignment(a, b, model)


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["roadscene/val", "vifb/test", "nir/test", "mfifb/val"])
def test_known_warps_of_real_pairs(shared, folder):
    """RoadScene's and VIFB's own pairs lie two to three pixels apart, which is found first and belongs to the warp."""
    errors, number = [], 0
    for seed, path in enumerate(sorted((shared / "data" / folder / "a").iterdir())[:10]):
        grey = [np.asarray(Image.open(shared / "data" / folder / side / path.name).convert("L")) for side in "ab"]
        a, b, known, own = warped_pair(*grey, seed)
        found = find_alignment(a, b)
        number += 1
        if found.trusted and (before := find_alignment(a, own)).trusted:
            errors.append(error(found.matrix, known @ before.matrix))
    assert len(errors) >= number / 3
    assert np.median(errors) < 2
    assert max(errors) < 5
