import cv2
import numpy as np
import pytest

from fusion_lab.data import embedded
from tools.street import thermal_scene
from tools.street.__main__ import streets
from tools.street.daytime import DAYTIMES
from tools.street.people import paint_person
from tools.street.pinhole import PinholeCamera
from tools.street.stage import Stage
from tools.street.thermal_camera import thermograph
from tools.street.thermal_scene import simulate_scene
from tools.street.visible_camera import photograph

SEEDS = range(6)


@pytest.fixture(scope="module")
def scenes():
    return [simulate_scene(seed) for seed in SEEDS]


@pytest.mark.parametrize("size", [(128, 160), (101, 147)])
def test_images_are_aligned_in_size_and_type(size):
    visible, infrared = simulate_scene(0, size)
    assert visible.shape == (*size, 3)
    assert infrared.shape == size
    assert visible.dtype == infrared.dtype == np.uint8


def test_seed_decides_everything():
    first, second, other = (simulate_scene(seed, (96, 128)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert np.abs(first[0].astype(int) - other[0]).mean() > 5
    assert np.abs(first[1].astype(int) - other[1]).mean() > 5


def empty_street(hour):
    camera = PinholeCamera(height=192, width=192, focal=192, centre=96, horizon=60, altitude=3)
    stage = Stage(camera, DAYTIMES[hour], air=8.0, generator=np.random.default_rng(0))
    stage.colour[:] = 70
    stage.matter[:] = (10, 0.1, 1, 10)
    return stage


def contrasts(hour, smoke, paint):
    """How much painting something changes each camera's image, where the infrared one changes most."""
    pictures = []
    for stage in (empty_street(hour), empty_street(hour)):
        if pictures:
            paint(stage)
        stage.generator = np.random.default_rng(1)
        opacity = np.full((192, 192), smoke, np.float32)
        visible = photograph(stage, opacity).mean(axis=2)
        stage.generator = np.random.default_rng(1)
        pictures.append((visible, thermograph(stage, opacity).astype(float)))
    (visible, infrared), (visible_with, infrared_with) = pictures
    where = infrared_with - infrared > 50
    return np.abs(visible_with - visible)[where].mean(), (infrared_with - infrared)[where].mean(), where.sum()


def person(stage):
    paint_person(stage, 0.0, 9.0)


def test_people_show_in_infrared_where_the_night_hides_them():
    by_day, by_night = contrasts("day", 0.0, person), contrasts("night", 0.0, person)
    assert by_night[2] > 80
    assert by_night[1] > 60
    assert by_night[0] < 12
    assert by_day[0] > 2 * by_night[0]


def test_people_show_in_infrared_through_smoke():
    visible, infrared, area = contrasts("day", 0.95, person)
    assert area > 80
    assert infrared > 60
    assert visible < 6


def test_infrared_is_blind_to_writing():
    stage, plain = empty_street("day"), empty_street("day")
    stage.paste(
        np.random.default_rng(2).integers(0, 256, (60, 240, 3), dtype=np.uint8),
        [(-2, 2, 9), (2, 2, 9), (2, 1, 9), (-2, 1, 9)],
    )
    clear = np.zeros((192, 192), np.float32)
    for each in (stage, plain):
        each.generator = np.random.default_rng(1)
    np.testing.assert_array_equal(thermograph(stage, clear), thermograph(plain, clear))
    assert not np.array_equal(photograph(stage, clear), photograph(plain, clear))


def test_hottest_spots_are_not_the_brightest(scenes):
    for visible, infrared in scenes:
        bright = cv2.cvtColor(visible, cv2.COLOR_RGB2GRAY)
        assert np.corrcoef(bright.ravel(), infrared.ravel())[0, 1] < 0.8


def test_visible_has_finer_detail(scenes):
    def fine_share(image):
        image = image.astype(np.float32)
        return (image - cv2.GaussianBlur(image, (0, 0), 1)).std() / image.std()

    shares = [(fine_share(cv2.cvtColor(v, cv2.COLOR_RGB2GRAY)), fine_share(i)) for v, i in scenes]
    assert all(visible > 1.5 * infrared for visible, infrared in shares)


def test_documentation_says_that_nothing_is_measured():
    assert "SIMULATED" in thermal_scene.__doc__


def test_carried_streets_are_what_is_made_here():
    """All 28: the files of the package hold nothing that could not be made again.

    NumPy and OpenCV choose their instructions by the processor: a value between two levels may round to either.
    """
    seeds = [seed for split in embedded.STREETS.values() for seed in split]
    for seed, (name, visible, infrared) in zip(seeds, streets(), strict=True):
        assert name == embedded.street_name(seed)
        for carried, made in zip(embedded.read_street(seed), (visible, infrared), strict=True):
            difference = cv2.absdiff(carried, made)
            assert difference.max() <= 1
            assert np.count_nonzero(difference) <= 1e-4 * difference.size
