import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import Intensity, MultiScaleStructure, Objective, SquaredError, Structure, Texture
from fusion_lab.losses.filters import gaussian_blur, gaussian_window, sobel_magnitude
from fusion_lab.losses.structure import ssim

TERMS = [Texture(), Intensity("maximum"), Intensity("mean"), Structure("gradient"), Structure("equal")]
IDS = ["texture", "maximum", "mean", "gradient", "equal"]


def images(count, height=24, width=32, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, batch, 1, height, width, dtype=torch.float64, generator=generator).unbind()


def sample(a, b):
    return {"source_a": a, "source_b": b, "name": ["x"] * len(a)}


@pytest.mark.parametrize("term", TERMS, ids=IDS)
def test_three_equal_images_cost_nothing(term):
    (image,) = images(1)
    assert term(image, sample(image, image)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("term", TERMS, ids=IDS)
def test_any_other_image_costs_something(term):
    image, noise = images(2)
    assert term(noise, sample(image, image)).item() > 0.01


@pytest.mark.parametrize("term", TERMS, ids=IDS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_sources_may_be_swapped(term, seed):
    a, b, fused = images(3, seed=seed)
    torch.testing.assert_close(term(fused, sample(a, b)), term(fused, sample(b, a)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("term", TERMS, ids=IDS)
@pytest.mark.parametrize("levels", [(0.0, 0.0, 0.0), (1.0, 0.0, 0.3), (0.5, 0.5, 0.5)])
def test_flat_images_have_finite_losses_and_gradients(term, levels):
    a, b, fused = (torch.full((2, 1, 16, 16), level) for level in levels)
    fused.requires_grad_()
    loss = term(fused, sample(a, b))
    loss.backward()
    assert loss.isfinite()
    assert fused.grad.isfinite().all()


def test_flat_sources_share_the_structure_equally():
    """A black image has no gradient at all, not even at its border."""
    black, fused = torch.zeros(1, 1, 16, 16), torch.rand(1, 1, 16, 16)
    expected = Structure("equal")(fused, sample(black, black))
    torch.testing.assert_close(Structure("gradient")(fused, sample(black, black)), expected)


def test_structure_prefers_the_source_with_stronger_gradients_over_the_whole_batch():
    a, b, fused = images(3)
    a = a * 0.25
    share_a = sobel_magnitude(a).mean() / (sobel_magnitude(a).mean() + sobel_magnitude(b).mean())
    assert share_a == pytest.approx(0.2, abs=0.02)
    expected = 1 - share_a * ssim(a, fused) - (1 - share_a) * ssim(b, fused)
    torch.testing.assert_close(Structure("gradient")(fused, sample(a, b)), expected)
    equal = 1 - (ssim(a, fused) + ssim(b, fused)) / 2
    torch.testing.assert_close(Structure("equal")(fused, sample(a, b)), equal)


def test_intensity_by_hand():
    a, b, fused = (torch.full((1, 1, 8, 8), level) for level in (0.2, 0.8, 0.6))
    assert Intensity("maximum")(fused, sample(a, b)).item() == pytest.approx(0.2)
    assert Intensity("mean")(fused, sample(a, b)).item() == pytest.approx(0.1)


def test_texture_wants_the_stronger_gradient_of_the_sources():
    step = torch.zeros(1, 1, 16, 16)
    step[..., 8:] = 0.5
    flat = torch.zeros_like(step)
    assert Texture()(step, sample(step, flat)).item() == pytest.approx(0)
    assert Texture()(flat, sample(step, flat)).item() == pytest.approx(sobel_magnitude(step).mean().item())


def test_sobel_magnitude_of_ramps():
    rows = torch.arange(6.0).view(1, 1, 6, 1).expand(1, 1, 6, 7)
    columns = torch.arange(7.0).view(1, 1, 1, 7).expand(1, 1, 6, 7)
    inner = (..., slice(1, -1), slice(1, -1))
    assert (sobel_magnitude(rows)[inner] == 8).all()
    assert (sobel_magnitude(columns)[inner] == 8).all()
    assert (sobel_magnitude(3 * rows - columns)[inner] == 32).all()
    # Zeros lie beyond the border.
    assert sobel_magnitude(torch.ones(1, 1, 4, 4))[0, 0, 0, 1] == 4


def test_gaussian_window_sums_to_one_and_falls_off():
    window = gaussian_window(11, 1.5)
    assert window.sum().item() == pytest.approx(1)
    assert (window[5, 5] / window[5, 6]).item() == pytest.approx(math.exp(1 / 4.5), rel=1e-5)
    assert torch.equal(window, window.T)
    assert torch.equal(window, window.flip(0))


def test_gaussian_blur_filters_plane_by_plane():
    planes = torch.rand(2, 3, 16, 16)
    blurred = gaussian_blur(planes, 11, 1.5)
    torch.testing.assert_close(blurred[1:, 2:], gaussian_blur(planes[1:, 2:], 11, 1.5))
    point = torch.zeros(1, 1, 21, 21)
    point[..., 10, 10] = 1
    torch.testing.assert_close(gaussian_blur(point, 11, 1.5)[0, 0, 5:16, 5:16], gaussian_window(11, 1.5))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_ssim_is_symmetric_and_largest_for_equal_images(seed):
    x, y = images(2, seed=seed)
    torch.testing.assert_close(ssim(x, y), ssim(y, x))
    assert ssim(x, x).item() == pytest.approx(1)
    assert ssim(x, y) < 0.5
    assert ssim(x, 1 - x) < 0


def test_ssim_of_flat_images_is_its_luminance_part_alone():
    # So dark that the constant C1 counts.
    x, y = torch.full((1, 1, 400, 400), 0.01), torch.full((1, 1, 400, 400), 0.03)
    expected = (2 * 0.01 * 0.03 + 1e-4) / (0.01**2 + 0.03**2 + 1e-4)
    # The zeros beyond the border reach five pixels in.
    assert ssim(x, y).item() == pytest.approx(expected, abs=0.02)


def test_objective_weighs_and_names_its_terms():
    a, b, fused = images(3)
    pair = sample(a, b)
    terms = Objective({"texture": Texture(20), "level": Intensity("mean", 3)})(fused, pair)
    assert list(terms) == ["texture", "level"]
    torch.testing.assert_close(terms["texture"], 20 * Texture()(fused, pair))
    torch.testing.assert_close(terms["level"], 3 * Intensity("mean")(fused, pair))


@pytest.mark.parametrize("term", TERMS, ids=IDS)
def test_gradients_agree_with_differences(term):
    a, b, fused = images(3, height=8, width=8, batch=1)
    fused.requires_grad_()
    torch.autograd.gradcheck(lambda image: term(image, sample(a, b)), fused, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("term", [SquaredError(), MultiScaleStructure()])
def test_only_the_ideal_image_costs_nothing(term):
    ideal, other = images(2)
    told = {**sample(other, other), "target": ideal}
    assert term(ideal, told).item() == pytest.approx(0, abs=1e-12)
    assert term(other, told).item() > 0.01
    flat = torch.full_like(ideal, 0.5).requires_grad_()
    term(flat, told).backward()
    assert flat.grad.isfinite().all()


def test_multi_scale_structure_needs_five_scales():
    (small,) = images(1, height=15)
    with pytest.raises(FusionLabError, match="16 pixels or more a side, but was given 32x15"):
        MultiScaleStructure()(small, {"target": small})


def test_gaussian_window_is_the_releases_one_whatever_the_default_type():
    gaussian_window.cache_clear()
    plain = gaussian_window(11, 1.5, dtype=torch.float64)
    gaussian_window.cache_clear()
    torch.set_default_dtype(torch.float64)  # As Lightning does for `precision: 64-true`.
    try:
        assert torch.equal(gaussian_window(11, 1.5, dtype=torch.float64), plain)
    finally:
        torch.set_default_dtype(torch.float32)


def test_unknown_shares_are_refused():
    with pytest.raises(FusionLabError, match="Found `shares = equall`"):
        Structure("equall")
