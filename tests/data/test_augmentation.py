import numpy as np
import pytest

from fusion_lab.data import Augmentation
from fusion_lab.errors import FusionLabError

HEIGHT, WIDTH = 21, 34


def images(*names):
    """Images whose pixels tell their place, each image shifted by a constant of its own."""
    places = np.arange(HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
    return {name: places + 1000 * i for i, name in enumerate(names)}


PAIR = ("source_a", "source_b")


@pytest.mark.parametrize("flips", [False, True])
@pytest.mark.parametrize("names", [PAIR, (*PAIR, "target")])
def test_all_images_of_a_pair_are_cut_and_turned_alike(flips, names):
    augment = Augmentation(8, flips)
    for seed in range(20):
        out = augment(images(*names), seed, "pair")
        assert list(out) == list(names)
        for i, name in enumerate(names):
            assert out[name].shape == (8, 8)
            np.testing.assert_array_equal(out[name], out["source_a"] + 1000 * i)


def corners(seed, augment):
    return augment(images(*PAIR), seed, "pair")["source_a"]


def test_crop_is_a_contiguous_part_of_the_image():
    augment, whole = Augmentation(8), images("source_a")["source_a"]
    for seed in range(20):
        crop = corners(seed, augment)
        row, column = divmod(int(crop[0, 0]), WIDTH)
        np.testing.assert_array_equal(crop, whole[row : row + 8, column : column + 8])


def test_seed_alone_decides():
    augment = Augmentation(8, flips=True)
    expected = [corners(seed, augment) for seed in range(12)]
    # Another object, another order, another random state of the process.
    np.random.seed(5)  # noqa: NPY002
    again = Augmentation(8, flips=True)
    for seed in reversed(range(12)):
        np.testing.assert_array_equal(corners(seed, again), expected[seed])
    assert len({crop.tobytes() for crop in expected}) > 6


def test_crops_reach_every_edge():
    augment = Augmentation(16)
    first = [divmod(int(corners(seed, augment)[0, 0]), WIDTH) for seed in range(300)]
    rows, columns = zip(*first, strict=True)
    assert (min(rows), max(rows)) == (0, HEIGHT - 16)
    assert (min(columns), max(columns)) == (0, WIDTH - 16)


def test_flips_give_all_eight_orientations_and_their_absence_one():
    def orientations(flips):
        augment = Augmentation(8, flips)
        return {
            (crop[0, 1] - crop[0, 0], crop[1, 0] - crop[0, 0])
            for crop in (corners(seed, augment) for seed in range(100))
        }

    assert orientations(False) == {(1, WIDTH)}
    steps = {(x, y) for x in (1, -1) for y in (WIDTH, -WIDTH)}
    assert orientations(True) == steps | {(y, x) for x, y in steps}


def test_levels_are_kept():
    image = np.random.default_rng(0).random((9, 9), dtype=np.float32)
    out = Augmentation(9)({"source_a": image, "source_b": image}, 0, "pair")
    assert out["source_a"].dtype == np.float32
    np.testing.assert_array_equal(out["source_a"], image)


@pytest.mark.parametrize("patch", [22, 64])
def test_pair_smaller_than_the_crop_is_told_by_name(patch):
    with pytest.raises(FusionLabError, match=rf"'street_7' \(34x21\) is smaller than the crop of {patch} pixels"):
        Augmentation(patch)(images(*PAIR), 0, "street_7")
