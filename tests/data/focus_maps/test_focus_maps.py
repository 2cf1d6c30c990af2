import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from fusion_lab.data.focus_maps import DepthMap, SegmentMap, SmoothMap
from fusion_lab.data.images import Picture

IMAGE = (astronaut()[100:196, 100:212] / 255).astype(np.float32)
MAPS = [SmoothMap(), DepthMap(), SegmentMap()]


def draw(focus_map, seed, image=IMAGE, **companions):
    return focus_map.draw(image, companions, np.random.default_rng(seed))


@pytest.mark.parametrize("focus_map", MAPS, ids=lambda kind: type(kind).__name__)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_map_has_a_near_and_a_far_region_and_comes_back_from_its_seed(focus_map, seed):
    drawn = draw(focus_map, seed)
    assert drawn.shape == IMAGE.shape[:2]
    assert drawn.dtype == np.float32
    assert (drawn.min(), drawn.max()) == (0, 1)
    # Most pixels are wholly near or wholly far.
    assert np.isin(drawn, (0, 1)).mean() > 0.6
    np.testing.assert_array_equal(drawn, draw(focus_map, seed))


@pytest.mark.parametrize("focus_map", MAPS, ids=lambda kind: type(kind).__name__)
def test_maps_differ_and_are_near_in_half_on_average(focus_map):
    drawn = [draw(focus_map, seed) for seed in range(20)]
    # A scene of few segments leaves few choices.
    assert len({one.tobytes() for one in drawn}) > 5
    assert 0.35 < np.mean(drawn) < 0.65


@pytest.mark.parametrize("focus_map", MAPS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (33, 20)])
def test_any_size_and_a_flat_image_do(focus_map, shape):
    drawn = draw(focus_map, 3, np.full((*shape, 3), 0.5, np.float32))
    assert drawn.shape == shape
    assert 0 <= drawn.min() <= drawn.max() <= 1


def test_bright_disparity_is_near():
    disparity = np.zeros(IMAGE.shape[:2], np.uint16)
    disparity[:, 50:] = 60000
    focus_map = DepthMap("disparity/{name}")
    assert focus_map.companions == {"disparity": "disparity/{name}"}
    for seed in range(5):
        drawn = draw(focus_map, seed, disparity=Picture(disparity))
        assert (drawn[:, 60:] >= 0.5).all()
        assert drawn[:, :40].max() <= drawn[:, 60:].min()
    flat = draw(focus_map, 0, disparity=Picture(np.full_like(disparity, 7)))
    np.testing.assert_array_equal(flat, 1)


@pytest.mark.parametrize("colour", [False, True])
def test_pieces_of_a_label_are_wholly_near_or_far(colour):
    labels = np.zeros(IMAGE.shape[:2], np.uint8)
    labels[:40, :50] = 3
    labels[60:, 70:] = 3
    pixels = np.stack([0 * labels, labels, 3 - labels], axis=-1) if colour else labels
    focus_map = SegmentMap("labels")
    apart = set()
    for seed in range(30):
        drawn = draw(focus_map, seed, labels=Picture(pixels))
        # Away from the edges.
        pieces = drawn[5:35, 5:45], drawn[65:90, 75:105], drawn[45:55, :]
        for piece in pieces:
            assert piece.min() == piece.max()
        apart.add((pieces[0][0, 0], pieces[1][0, 0]))
    # Two pieces of one label are chosen apart.
    assert {(0, 1), (1, 0)} & apart


def test_segments_follow_the_edges_of_the_image():
    image = np.zeros((64, 64, 3), np.float32)
    image[:, 30:] = (0.9, 0.8, 0.1)
    for seed in range(4):
        drawn = draw(SegmentMap(), seed, image)
        assert abs(drawn[:, :26].mean() - drawn[:, 34:].mean()) == 1
