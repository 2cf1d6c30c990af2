import numpy as np
import pytest
import torch
from kornia.color import rgb_to_grayscale
from skimage.data import astronaut
from torch.utils.data import default_collate

from fusion_lab.data.auxiliary import ExposureSynthesis, FocusSynthesis, SpectralSynthesis, StoredFocus
from fusion_lab.data.focus_maps import DepthMap, SegmentMap
from fusion_lab.data.images import Picture
from fusion_lab.data.synthetic.two_layers import gaussian_blur
from fusion_lab.errors import FusionLabError

IMAGES = [(astronaut()[top : top + 64, 100:172] / 255).astype(np.float32) for top in (0, 100, 250)]
CLEAR = torch.from_numpy(np.stack(IMAGES)).permute(0, 3, 1, 2).contiguous()
DEFOCUS = FocusSynthesis(SegmentMap(), "disc", (2.0, 5.0), linear_light=True, occlusion=True)
HAZY = FocusSynthesis(contrast=(0.5, 0.9), veil=0.3)
ALL = {
    "paper": FocusSynthesis(),
    "defocus": DEFOCUS,
    "hazy": HAZY,
    "exposure": ExposureSynthesis(),
    "spectral": SpectralSynthesis(),
}


def recipes(synthesis, seed=0):
    return [synthesis.draw(image, {}, np.random.default_rng([seed, i])) for i, image in enumerate(IMAGES)]


def render(synthesis, chosen, clear=CLEAR):
    return synthesis.render(clear, default_collate(chosen))


@pytest.fixture(params=ALL, name="synthesis")
def fixture_synthesis(request):
    return ALL[request.param]


def test_sources_are_in_range_and_come_back_from_the_seed(synthesis):
    sources = render(synthesis, recipes(synthesis))
    for source in sources:
        assert source.shape in (CLEAR.shape, CLEAR[:, :1].shape)
        assert source.dtype == torch.float32
        assert 0 <= source.min() < source.max() <= 1
    for source, again in zip(sources, render(synthesis, recipes(synthesis)), strict=True):
        assert torch.equal(source, again)
    assert not torch.equal(sources[0], render(synthesis, recipes(synthesis, seed=1))[0])


def test_batch_is_one_by_one(synthesis):
    chosen = recipes(synthesis)
    batch = render(synthesis, chosen)
    for i in range(len(IMAGES)):
        alone = render(synthesis, chosen[i : i + 1], CLEAR[i : i + 1])
        for source, one in zip(batch, alone, strict=True):
            torch.testing.assert_close(source[i : i + 1], one, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["paper", "defocus"])
def test_first_source_is_far_focused(name):
    chosen = recipes(ALL[name])
    far, near = render(ALL[name], chosen)
    near_region = torch.from_numpy(np.stack([recipe["focus_map"] for recipe in chosen]) == 1).expand_as(CLEAR)
    torch.testing.assert_close(near[near_region], CLEAR[near_region], rtol=0, atol=2e-6)
    assert (far - CLEAR)[near_region].abs().mean() > 0.01


def test_radius_is_of_its_range():
    drawn = [recipe["radius"] for seed in range(20) for recipe in recipes(DEFOCUS, seed)]
    assert 2 <= min(drawn) < 3
    assert 4 < max(drawn) <= 5
    assert {float(recipe["radius"]) for recipe in recipes(FocusSynthesis())} == {3.0}


def test_luminance_does_as_well_as_colour_where_colour_is_not_needed():
    synthesis = FocusSynthesis()
    assert not synthesis.needs_colour
    chosen = recipes(synthesis)
    colour, grey = render(synthesis, chosen), render(synthesis, chosen, rgb_to_grayscale(CLEAR))
    for one, other in zip(colour, grey, strict=True):
        torch.testing.assert_close(rgb_to_grayscale(one), other, rtol=0, atol=1e-6)


def test_lamps_stay_bright_in_linear_light():
    lamp = np.zeros((33, 33, 3), np.float32)
    lamp[15:18, 15:18] = 1
    clear = torch.from_numpy(lamp).permute(2, 0, 1)[None]
    recipe = {"focus_map": torch.zeros(1, 1, 33, 33), "radius": torch.tensor([4.0])}
    options = {"kernel": "disc", "radius": (4.0, 4.0)}
    _, light = FocusSynthesis(**options, linear_light=True).render(clear, recipe)
    _, encoded = FocusSynthesis(**options).render(clear, recipe)
    assert light.max() > 1.5 * encoded.max()


def test_haze_draws_each_source_to_the_veil_by_its_own_share():
    chosen = recipes(HAZY)
    kept = torch.from_numpy(np.stack([recipe["contrast"] for recipe in chosen]))
    assert kept.shape == (3, 2)
    assert 0.5 <= kept.min() < kept.max() <= 0.9
    assert (kept[:, 0] != kept[:, 1]).all()
    clear = render(FocusSynthesis(), recipes(FocusSynthesis()))
    for share, hazy, source in zip(kept.T, render(HAZY, chosen), clear, strict=True):
        torch.testing.assert_close(hazy - 0.3, share[:, None, None, None] * (source - 0.3))


def test_a_veil_of_the_mean_is_darker_in_dark_scenes_alone():
    clear = torch.stack([0.1 * CLEAR[0], 0.5 + 0.5 * CLEAR[1]])
    synthesis = FocusSynthesis(contrast=(0.5, 0.5), veil=0.3, veil_of_mean=0.4)
    recipe = default_collate(recipes(synthesis)[:2])
    sources = FocusSynthesis().render(clear, {name: recipe[name] for name in ("focus_map", "radius")})
    veil = torch.stack([0.4 * clear[0].mean(), torch.tensor(0.3)])[:, None, None, None]
    for hazy, source in zip(synthesis.render(clear, recipe), sources, strict=True):
        torch.testing.assert_close(hazy, veil + 0.5 * (source - veil))


def test_files_of_the_focus_map_are_those_of_the_synthesis():
    assert FocusSynthesis(DepthMap("depth")).companions == {"disparity": "depth"}
    assert FocusSynthesis().companions == {}


def test_exposures_clip_at_either_end_and_the_first_is_the_darker():
    chosen = recipes(ExposureSynthesis())
    under, over = render(ExposureSynthesis(), chosen)
    assert (under <= CLEAR + 0.5 / 255).all()
    assert (over >= under).all()
    assert under.mean() < 0.7 * CLEAR.mean()
    # Eight bits, so that what is dark is lost.
    torch.testing.assert_close(under * 255, (under * 255).round(), rtol=0, atol=1e-4)


def test_a_bright_scene_does_not_vanish_from_the_over_exposed_image():
    ramp = np.repeat(np.linspace(0.6, 1, 64, dtype=np.float32)[None, :, None], 3, axis=2).repeat(8, axis=0)
    synthesis = ExposureSynthesis()
    for seed in range(5):
        recipe = synthesis.draw(ramp, {}, np.random.default_rng(seed))
        _, over = synthesis.render(torch.from_numpy(ramp).permute(2, 0, 1)[None], default_collate([recipe]))
        assert (over < 1).float().mean() > 0.4
    night = np.full((8, 8, 3), 0.001, np.float32)
    assert synthesis.draw(night, {}, np.random.default_rng(0))["over_stops"] >= 1.8


def test_bands_share_their_detail_and_differ_in_coarse_brightness():
    flat = SpectralSynthesis(power=(2.0, 2.0), gain=(1.0, 1.0), spread=0.0, coarse=(0.0, 0.0), level=(0.4, 0.4))
    chosen = [{**recipe, "swapped": np.float32(0)} for recipe in recipes(flat)]
    visible, other = render(flat, chosen)
    torch.testing.assert_close(visible, rgb_to_grayscale(CLEAR) ** 2)
    mean = CLEAR.mean(dim=1, keepdim=True)

    def coarse(image):
        return gaussian_blur(image, torch.full((3,), 8.0), 8.0)

    # Nothing is left of the coarse brightness but at the clipped ends, and all of the detail.
    assert (coarse(other) - 0.4).abs().mean() < 0.3 * (coarse(mean) - 0.4).abs().mean()
    inside = (other > 0) & (other < 1)
    assert inside.float().mean() > 0.9
    torch.testing.assert_close((other - 0.4)[inside], (mean - coarse(mean))[inside], rtol=0, atol=1e-6)


def test_either_band_may_be_first():
    synthesis = SpectralSynthesis()
    drawn = [recipe for seed in range(5) for recipe in recipes(synthesis, seed)]
    assert {float(recipe["swapped"]) for recipe in drawn} == {0.0, 1.0}
    for recipe in drawn:
        np.testing.assert_allclose(recipe["shares"].sum(), 1, atol=1e-6)
    chosen = recipes(synthesis)
    first, second = render(synthesis, chosen)
    turned = [{**recipe, "swapped": 1 - recipe["swapped"]} for recipe in chosen]
    for source, other in zip(render(synthesis, turned), (second, first), strict=True):
        assert torch.equal(source, other)


def test_stored_images_are_taken_as_they_are():
    synthesis = StoredFocus()
    grey, colour = np.full((4, 5), 51, np.uint8), np.zeros((4, 5, 3), np.uint16)
    colour[..., 0] = 65535
    recipe = synthesis.draw(IMAGES[0], {"near_focus": Picture(grey), "far_focus": Picture(colour)}, None)
    far, near = synthesis.render(CLEAR[:1], default_collate([recipe]))
    torch.testing.assert_close(near, torch.full((1, 3, 4, 5), 0.2))
    assert far[0, :, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FocusSynthesis(radius=(0.0, 3.0)), r"Found `radius = \[0\.0, 3\.0\]`"),
        (lambda: FocusSynthesis(radius=(3.0, 2.0)), r"low <= high"),
        (lambda: FocusSynthesis(contrast=(0.0, 1.0)), r"Found `contrast = \[0\.0, 1\.0\]`"),
        (lambda: FocusSynthesis(contrast=(0.5, 1.2)), "high <= 1"),
        (lambda: FocusSynthesis(kernel="box"), "Found `kernel = box`"),
        (lambda: ExposureSynthesis(over_stops=(2.0, 1.0)), "Found `over_stops ="),
        (lambda: ExposureSynthesis(contrast=(0.0, 1.0)), "Found `contrast ="),
        (lambda: SpectralSynthesis(coarse=(0.5, 0.0)), "Found `coarse ="),
        (lambda: SpectralSynthesis(power=(0.0, 1.0)), "Found `power = 0.0`"),
        (lambda: SpectralSynthesis(radius=0.0), "Found `radius = 0.0`"),
    ],
)
def test_wrong_arguments_are_told(make, message):
    with pytest.raises(FusionLabError, match=message):
        make()
