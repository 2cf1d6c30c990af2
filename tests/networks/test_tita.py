import pytest
import torch

from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.networks import TITA
from fusion_lab.networks.attention import IPA
from fusion_lab.networks.interaction import InterBlock
from fusion_lab.networks.layers.drop_path import DropPath
from fusion_lab.networks.layers.padding import pad_to_multiple
from fusion_lab.networks.layers.strips import in_strips
from fusion_lab.networks.operations import Addition, HighPass

SMALL = {
    "embed_dim": 12,
    "num_heads": 2,
    "num_extraction_blocks": 2,
    "num_interaction_blocks": 2,
    "num_reconstruction_blocks": 2,
}


@pytest.fixture(scope="module")
def official():
    torch.manual_seed(0)
    return TITA()


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_count_is_that_of_the_release_without_its_dead_ones(official):
    assert size(official) == 1_378_435 == 1_386_865 - 8_430


def test_parameter_count_of_every_part(official):
    assert {name: size(part) for name, part in official.parts().items()} == {
        "extraction": 300 + 16_260 + 120 + 2 * (123_240 + 120),
        "interaction": 816_480 + 240,
        "adaptation": 7_626 + 2 * 73_449,
        "reconstruction": 123_240 + 120 + 20_431,
    }
    assert [size(block) for block in official.extraction_a.blocks] == [30_810] * 4
    assert [size(block) for block in official.interaction.blocks] == [102_060] * 8
    pixel_attention = official.interaction.blocks[0].pixel_attention
    assert size(pixel_attention) == 40_440
    assert size(pixel_attention.discriminator) == 10_920
    assert size(pixel_attention.attention_a) == 14_640
    assert size(official.adaptation.weight_generator) == 7_626
    assert [size(layer) for layer in official.head if size(layer)] == [16_230, 4_065, 136]


def test_windows_are_shifted_in_every_other_block(official):
    for stage in (official.extraction_a, official.extraction_b, official.reconstruction):
        assert [block.attention.shift for block in stage.blocks] == [0, 4, 0, 4]
    shifts = [[attention.shift for attention in block.attention] for block in official.interaction.blocks]
    assert shifts == [[0, 0], [4, 4]] * 4


def test_stochastic_depth_grows_linearly_in_each_stage(official):
    def rates(stage):
        return [module.rate for module in stage.modules() if isinstance(module, DropPath)]

    for stage in (official.extraction_a, official.extraction_b, official.reconstruction):
        assert rates(stage) == pytest.approx([0, 1 / 30, 2 / 30, 0.1])
    assert rates(official.interaction) == pytest.approx([0.1 * i / 7 for i in range(8)])


def test_sources_share_the_shallow_layers_but_not_the_extraction(official):
    official.eval()
    image = torch.rand(1, 1, 16, 16)
    outputs = {}
    handles = [
        getattr(official, name).register_forward_hook(
            lambda module, inputs, output, name=name: outputs.setdefault(name, []).append((inputs[0], output))
        )
        for name in ("extraction_a", "extraction_b", "embed_norm")
    ]
    with torch.no_grad():
        official(image, image)
    for handle in handles:
        handle.remove()
    (into_a, out_a), (into_b, out_b) = outputs["extraction_a"][0], outputs["extraction_b"][0]
    assert torch.equal(into_a, into_b)
    assert not torch.allclose(out_a, out_b)
    assert len(outputs["embed_norm"]) == 5


@pytest.mark.parametrize("shift", [0, 4])
def test_inter_block_treats_both_streams_alike(shift):
    """With equal parameters for both, swapping what goes in swaps what comes out."""
    torch.manual_seed(0)
    block = InterBlock(12, 2, 8, shift, 2.0, 0.0, IPA).double().eval()
    pixel_attention = block.pixel_attention
    with torch.no_grad():
        for pair in (block.norm1, block.attention, block.norm2, block.mlp):
            pair[1].load_state_dict(pair[0].state_dict())
        pixel_attention.attention_b.load_state_dict(pixel_attention.attention_a.state_dict())
        for noise in (pixel_attention.noise1, pixel_attention.noise2):
            noise[1] = noise[0]
        x, y = (30 * torch.randn(2, 1, 16, 16, 12, dtype=torch.float64)).unbind()
        new_x, new_y = block(x, y)
        torch.testing.assert_close(block(y, x), (new_y, new_x))
    assert not torch.allclose(new_x, new_y)


def test_second_forward_in_training_draws_other_paths():
    torch.manual_seed(0)
    network = TITA(**SMALL, drop_path=0.5).train()
    a, b = torch.rand(2, 4, 1, 8, 8).unbind()
    with torch.no_grad():
        assert not torch.equal(network(a, b), network(a, b))


def test_odd_sizes_are_mirrored_up_and_cropped_back():
    network = TITA(**SMALL).eval()
    a, b = torch.rand(2, 1, 1, 13, 18).unbind()
    with torch.no_grad():
        whole = network(pad_to_multiple(a, 8), pad_to_multiple(b, 8))
        torch.testing.assert_close(network(a, b), whole[..., :13, :18])


def test_choices_are_handed_on():
    class Swap(IPA):
        pass

    network = TITA(**{**SMALL, "window_size": 4}, pixel_attention=Swap, operations=[HighPass, Addition])
    assert all(isinstance(block.pixel_attention, Swap) for block in network.interaction.blocks)
    assert list(network.adaptation.source_b.branches) == ["HighPass", "Addition"]
    assert [block.attention.shift for block in network.extraction_a.blocks] == [0, 2]
    with torch.no_grad():
        assert network(*torch.rand(2, 1, 1, 9, 9)).shape == (1, 1, 9, 9)


def test_heads_must_divide_the_channels():
    with pytest.raises(ValueError, match="`embed_dim` should be a multiple of `num_heads`"):
        TITA(embed_dim=60, num_heads=7)


def test_recomputing_activations_changes_no_gradient():
    """Stochastic depth included: the second pass draws what the first one drew."""
    networks = [TITA(**SMALL, drop_path=0.5, recompute=recompute).double().train() for recompute in (False, True)]
    networks[1].load_state_dict(networks[0].state_dict())
    a, b = torch.rand(2, 4, 1, 16, 16, dtype=torch.float64).unbind()
    for network in networks:
        torch.manual_seed(7)
        network(a, b).square().sum().backward()
    for plain, recomputed in zip(*(network.parameters() for network in networks), strict=True):
        torch.testing.assert_close(plain.grad, recomputed.grad, rtol=1e-9, atol=1e-12)


def test_a_blend_weighs_the_sources_and_corrects_the_result():
    network = TITA(**SMALL, blend=True).eval()
    a, b = torch.rand(2, 1, 1, 17, 24)
    last = network.head[-1]
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.copy_(torch.tensor([0.0, 0.0]))
        torch.testing.assert_close(network(a, b), (a + b) / 2)
        last.bias.copy_(torch.tensor([50.0, 0.25]))
        torch.testing.assert_close(network(a, b), b + 0.25)


def test_a_blend_in_strips_is_the_plain_pass():
    network = TITA(**SMALL, blend=True).eval()
    a, b = torch.rand(2, 1, 1, 72, 56)
    with torch.no_grad():
        plain = network(a, b)
        with in_strips(8 * 24):
            torch.testing.assert_close(network(a, b), plain, atol=2e-5, rtol=0)


def test_the_brighter_source_comes_first_however_they_are_given():
    network = TITA(**SMALL, blend=True, brighter_first=True).eval()
    plain = TITA(**SMALL, blend=True).eval()
    plain.load_state_dict(network.state_dict())
    dark, bright = torch.rand(2, 3, 1, 17, 24).mul(0.5).unbind()
    bright = bright + 0.4
    mixed_a, mixed_b = dark.clone(), bright.clone()
    mixed_a[1], mixed_b[1] = bright[1], dark[1]
    with torch.no_grad():
        expected = plain(bright, dark)
        for a, b in ((bright, dark), (dark, bright), (mixed_a, mixed_b)):
            assert torch.equal(network(a, b), expected)
        assert not torch.equal(plain(dark, bright), expected)
        assert network.exchanged(mixed_a, mixed_b).tolist() == [True, False, True]


def test_tiles_agree_on_which_source_is_brighter():
    """The left half is brighter in A, the right half, by less, in B."""
    network = TITA(**SMALL, blend=True, brighter_first=True).eval()
    a, b = torch.rand(2, 1, 1, 64, 80).mul(0.3).unbind()
    a[..., :40] += 0.5
    b[..., 40:] += 0.3
    limit = network.bytes_per_pixel * 40**2 / 2**30
    tiled = fuse_luminance(network, a, b, limit)
    assert torch.equal(fuse_luminance(network, b, a, limit), tiled)
    torch.testing.assert_close(tiled, fuse_luminance(network, a, b), rtol=0, atol=1 / 255)
