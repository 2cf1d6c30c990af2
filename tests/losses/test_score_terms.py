"""Terms that train for what tables score are the scores, where nothing was smoothed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import EdgePreservation, ExposureStructure, Intensity, VisualInformation
from fusion_lab.losses.edge_preservation import edge_preservation
from fusion_lab.losses.exposure_structure import exposure_similarity
from fusion_lab.losses.visual_information import visual_information
from fusion_lab.metrics.edge_preservation import edge_preservation as qabf
from fusion_lab.metrics.exposure_similarity import mef_ssim
from fusion_lab.metrics.visual_information import visual_information_fidelity_sum

TERMS = [EdgePreservation(), ExposureStructure(), VisualInformation()]


def smooth(count, side=64, seed=0):
    """Images of soft blobs, with levels of 8 bits as a score sees them."""
    noise = torch.rand(count, 1, 1, side // 8, side // 8, generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(noise.flatten(0, 1), size=side, mode="bicubic").clamp(0, 1)
    return ((images * 255).round() / 255).double().view(count, 1, 1, side, side).unbind()


def sample(a, b):
    return {"source_a": a, "source_b": b}


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000))
def test_terms_are_the_scores(seed):
    f, a, b = smooth(3, seed=seed)
    levels = [(image * 255).round() for image in (f, a, b)]
    assert edge_preservation(f, a, b).item() == pytest.approx(qabf(*levels).item(), abs=0.05)
    information = visual_information(f, a) + visual_information(f, b)
    assert information.item() == pytest.approx(visual_information_fidelity_sum(*levels).item(), abs=2e-3)
    assert exposure_similarity(f, a, b).item() == pytest.approx(mef_ssim(*levels, scales=1).item(), abs=5e-3)


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_a_copy_is_best(term):
    noise, image = smooth(2)
    assert term(image, sample(image, image)) < term(noise, sample(image, image)) - 0.2


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_flat_sources_give_a_positive_loss_and_a_finite_gradient(term, level):
    (image,) = smooth(1)
    flat = torch.full_like(image, level)
    for a, b in ((flat, flat), (image, flat), (flat, image)):
        for fused in (image.float(), flat.float()):
            fused = fused.requires_grad_()
            loss = term(fused, sample(a.float(), b.float()))
            loss.backward()
            # FAMO takes the logarithm.
            assert 0 <= loss.item() < 2
            assert fused.grad.isfinite().all()


def test_the_sharper_source_gives_the_level():
    fine = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    dull = torch.full_like(fine, 0.5)
    a, b = fine.clone(), fine.clone()
    a[..., :16], b[..., 16:] = dull[..., :16], dull[..., 16:]
    assert Intensity("sharper")(fine, sample(a, b)) < 0.1
    assert Intensity("sharper")(dull, sample(a, b)) > 0.2


def test_visual_information_needs_room():
    image = torch.zeros(1, 1, 40, 64)
    with pytest.raises(FusionLabError, match="41 pixels or more"):
        VisualInformation()(image, sample(image, image))


def test_an_unknown_target_is_refused():
    with pytest.raises(FusionLabError, match="maximum, mean, sharper"):
        Intensity("darkest")


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
@pytest.mark.parametrize("contrast", [0.0, 0.003, 0.03, 0.3])
def test_a_source_that_is_the_other_one_inverted_gives_no_negative_loss(term, contrast):
    wave = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0)) - 0.5
    a, b = (((level + sign * contrast * wave) * 255).round() / 255 for level, sign in ((0.6, 1), (0.4, -1)))
    for fused in (a, b, (a + b) / 2):
        fused = fused.clone().requires_grad_()
        loss = term(fused, sample(a, b))
        loss.backward()
        assert 0 <= loss.item() < 2
        assert fused.grad.isfinite().all()


def test_images_smaller_than_a_window_of_mef_ssim_are_refused():
    small = torch.rand(1, 1, 10, 20)
    with pytest.raises(FusionLabError, match="11 pixels or more a side, but was given 20x10"):
        ExposureStructure()(small, {"source_a": small, "source_b": small})
