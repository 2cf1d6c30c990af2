import numpy as np
import pytest

from fusion_lab.data.synthetic.defocus import defocus, disc_kernel, focus_pair, smooth_depth


@pytest.fixture
def texture():
    return np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)


@pytest.fixture
def step():
    """Near on the left, far on the right."""
    depth = np.ones((64, 80), np.float32)
    depth[:, :40] = 0
    return depth


def black_and_white():
    image = np.zeros((64, 80, 3), np.uint8)
    image[:, 40:] = 255
    return image


@pytest.mark.parametrize("radius", [0.0, 0.3, 1.0, 2.7, 8.0])
def test_disc_keeps_energy_and_is_round(radius):
    disc = disc_kernel(radius)
    assert disc.sum() == pytest.approx(1, abs=1e-5)
    assert disc.shape[0] == disc.shape[1] == 2 * int(np.ceil(radius)) + 1
    np.testing.assert_allclose(disc, disc.T, atol=1e-7)


def test_blur_keeps_a_constant_region_constant(step):
    image = np.full((64, 80, 3), (200, 90, 30), np.uint8)
    for focus in (0.0, 0.4, 1.0):
        blurred = defocus(image, step, focus, max_radius=9).astype(int)
        assert np.abs(blurred - image).max() <= 1


def test_invented_depth_leaves_a_constant_image_constant():
    depth = smooth_depth((120, 150), np.random.default_rng(5))
    image = np.full((120, 150, 3), 140, np.uint8)
    for result in focus_pair(image, depth, max_radius=14):
        assert np.abs(result.astype(int) - 140).max() <= 1


def test_focused_plane_stays_as_it_is(texture, step):
    near = defocus(texture, step, 0.0, max_radius=6)
    np.testing.assert_array_equal(near[:, :40], texture[:, :40])
    far = defocus(texture, step, 1.0, max_radius=6)
    np.testing.assert_array_equal(far[:, 48:], texture[:, 48:])


def test_out_of_focus_plane_is_blurred(texture, step):
    near = defocus(texture, step, 0.0, max_radius=6)
    assert near[:, 50:].std() < 0.4 * texture[:, 50:].std()


def test_blur_grows_with_the_distance_from_focus(texture):
    deviations = [
        defocus(texture, np.full((64, 80), depth), 0.0, max_radius=8).std() for depth in (0.0, 0.25, 0.5, 1.0)
    ]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 1.5 * deviations[1] > 2 * deviations[3]


def test_blurred_far_plane_does_not_spill_over_a_sharp_near_edge(step):
    image = black_and_white()
    near = defocus(image, step, 0.0, max_radius=8)
    assert np.all(near[:, :40] == 0)
    # Behind the edge, the far plane is white throughout: nothing black leaks into it either.
    assert np.all(near[:, 40:] >= 254)


def test_blurred_near_plane_spills_over_a_sharp_far_edge(step):
    far = defocus(black_and_white(), step, 1.0, max_radius=8)[32, :, 0].astype(int)
    assert np.all(far[48:] == 255)
    assert 0 < far[42] < far[46] < 255
    # The rim is half transparent on its own side too, without a jump at the edge.
    assert 0 < far[36] < far[42]
    assert np.abs(np.diff(far)).max() < 80


def test_pair_is_complementary(texture):
    depth = np.linspace(0, 1, 80, dtype=np.float32) * np.ones((64, 1), np.float32)
    near, far = focus_pair(texture, depth, max_radius=10)
    sharp_near, sharp_far = (np.all(image == texture, axis=(0, 2)) for image in (near, far))
    assert sharp_near[:36].all()
    assert sharp_far[44:].all()
    assert not sharp_near[60:].any()
    assert not sharp_far[:20].any()


def test_depth_fills_its_range_and_comes_back_from_its_seed():
    depth = smooth_depth((70, 91), np.random.default_rng(1))
    assert depth.shape == (70, 91)
    assert depth.dtype == np.float32
    assert (depth.min(), depth.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(depth, smooth_depth((70, 91), np.random.default_rng(1)))
    assert not np.allclose(depth, smooth_depth((70, 91), np.random.default_rng(2)))
