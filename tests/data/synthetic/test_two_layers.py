import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter
from skimage.data import astronaut

from fusion_lab.data.synthetic.two_layers import blend, compose_layers, disc_blur, gaussian_blur

BLURS = [gaussian_blur, disc_blur]
MODELS = [blend, compose_layers]
LARGEST = 3.0
REACH = 9  # Of the Gaussian, the wider of the two kernels.


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def halves(height=24, width=40):
    """Near on the left."""
    focus_map = torch.zeros(1, 1, height, width)
    focus_map[..., : width // 2] = 1
    return focus_map


def blur(kind, radius=LARGEST, samples=1):
    return lambda maps: kind(maps, torch.full((samples,), radius), LARGEST)


@pytest.mark.parametrize("kind", BLURS)
@settings(max_examples=15, deadline=None)
@given(radius=st.floats(0.3, LARGEST), level=st.floats(0, 1), seed=st.integers(0, 99))
def test_blur_keeps_flat_images_and_stays_within_the_levels(kind, radius, level, seed):
    flat = torch.full((1, 1, 12, 15), level)
    torch.testing.assert_close(blur(kind, radius)(flat), flat)
    rough = noise(1, 2, 12, 15, seed=seed)
    blurred = blur(kind, radius)(rough)
    assert rough.min() - 1e-6 <= blurred.min()
    assert blurred.max() <= rough.max() + 1e-6


@pytest.mark.parametrize("kind", BLURS)
def test_larger_radius_blurs_more(kind):
    rough = noise(1, 1, 40, 40)
    deviations = [blur(kind, radius)(rough).std().item() for radius in (0.5, 1.0, 2.0, 3.0)]
    assert deviations == sorted(deviations, reverse=True)
    assert deviations[0] > 2 * deviations[-1]


@pytest.mark.parametrize("kind", BLURS)
def test_each_sample_has_its_own_radius_and_the_batch_is_one_by_one(kind):
    images, radii = noise(3, 2, 20, 22), torch.tensor([0.7, 1.9, 3.0])
    batch = kind(images, radii, LARGEST)
    for i in range(3):
        torch.testing.assert_close(batch[i : i + 1], kind(images[i : i + 1], radii[i : i + 1], LARGEST))
    assert not torch.allclose(batch[0], kind(images[:1], radii[2:], LARGEST)[0], atol=0.05)


def test_gaussian_is_that_of_pillow():
    image = astronaut()[:200, :200]
    expected = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(3)), np.float32)
    ours = gaussian_blur(torch.from_numpy(image / 255).float().permute(2, 0, 1)[None], torch.tensor([3.0]), 3.0)
    error = ours[0].permute(1, 2, 0).numpy() * 255 - expected
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 48


@pytest.mark.parametrize("kind", BLURS)
@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999))
def test_focus_settings_are_complementary_and_within_range(model, kind, seed):
    clear = noise(1, 3, 24, 40, seed=seed)
    # A map with whole regions of 0 and of 1, and anything between at their edge.
    columns = torch.linspace(2.5, -1.5, 40).clamp(0, 1) + 0.2 * noise(1, 1, 24, 40, seed=seed + 1)
    focus_map = ((columns - 0.2) / 0.8).clamp(0, 1)
    near, far = model(clear, focus_map, blur(kind))
    for image in (near, far):
        assert image.min() >= -1e-5
        assert image.max() <= 1 + 1e-5
    around = torch.nn.functional.max_pool2d(focus_map, 2 * REACH + 1, 1, REACH)
    sharp_near, sharp_far = (focus_map == 1).expand_as(clear), (around == 0).expand_as(clear)
    assert sharp_near.any()
    assert sharp_far.any()
    torch.testing.assert_close(near[sharp_near], clear[sharp_near])
    torch.testing.assert_close(far[sharp_far], clear[sharp_far])
    # The other one is blurred there.
    assert (near - clear)[sharp_far].std() > 0.1
    assert (far - clear)[sharp_near].std() > 0.1


@pytest.mark.parametrize("model", MODELS)
def test_turning_the_map_over_swaps_the_blend_but_not_the_layers(model):
    clear, focus_map = noise(1, 1, 24, 40), halves()
    near, far = model(clear, focus_map, blur(disc_blur))
    other_near, other_far = model(clear, 1 - focus_map, blur(disc_blur))
    same = torch.allclose(near, other_far, atol=1e-5) and torch.allclose(far, other_near, atol=1e-5)
    assert same == (model is blend)


def test_nothing_of_the_near_layer_leaks_into_the_blurred_far_one():
    near, _ = compose_layers(halves(), halves(), blur(disc_blur))
    torch.testing.assert_close(near, halves())
    leaking, _ = blend(halves(), halves(), blur(disc_blur))
    assert leaking[0, 0, 12, 20] > 0.3


def test_blurred_near_layer_spills_over_the_sharp_far_one():
    _, far = compose_layers(halves(), halves(), blur(disc_blur))
    row = far[0, 0, 12]
    assert (row[24:] == 0).all()
    torch.testing.assert_close(row[:16], torch.ones(16))
    # Half transparent on both sides of the edge, without a step there.
    assert 0 < row[22] < row[20] < row[19] < row[17] < 1
    assert row.diff().abs().max() < 0.3


def test_far_layer_goes_on_behind_the_blurred_near_one():
    """A white far layer shines through the rim of a black near one, just as much as that does not cover."""
    clear = 1 - halves()
    _, far = compose_layers(clear, halves(), blur(disc_blur))
    _, cover = compose_layers(halves(), halves(), blur(disc_blur))
    torch.testing.assert_close(far, 1 - cover)
