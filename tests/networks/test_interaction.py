"""The arrangements of the interaction: IeSF, SF, IrSF and none."""

import pytest
import torch
from torch.nn import functional as F

from fusion_lab.networks import TITA
from fusion_lab.networks.attention import IPA, PA
from fusion_lab.networks.interaction import InteractionStage, InterBlock, IntraBlock
from fusion_lab.networks.layers.drop_path import DropPath

SF = ("intra", "intra", "inter", "inter")
DEAD = 8_430


def stage(dim=12, heads=2, window=4, blocks=4, drop_path=0.1, arrangement=("inter",), pixel_attention=None):
    torch.manual_seed(0)
    return InteractionStage(dim, heads, window, 2.0, blocks, drop_path, arrangement, pixel_attention, recompute=False)


def perturb(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module.double().eval()


def plain_self_block(block, image, heads, window, shift):
    """A self block on a list of rows of pixels, one pixel and one neighbour at a time, nothing rolled or masked."""
    height, width, dim = len(image), len(image[0]), len(image[0][0])
    size = dim // heads

    def segment(position):
        # Shifted windows begin at `shift`; what is before the first and after the last is a window of its own.
        return (position - shift) // window

    normed = [[F.layer_norm(p, (dim,), block.norm1.weight, block.norm1.bias) for p in row] for row in image]
    out = []
    for y in range(height):
        row = []
        for x in range(width):
            query = block.attention.query(normed[y][x])
            mixed = []
            for head in range(heads):
                own = slice(head * size, (head + 1) * size)
                logits, values = [], []
                for v in range(height):
                    for u in range(width):
                        if (segment(y), segment(x)) != (segment(v), segment(u)):
                            continue
                        key, value = block.attention.key_value(normed[v][u]).split(dim)
                        place = (2 * window - 1) * (y - v + window - 1) + (x - u + window - 1)
                        bias = block.attention.bias_table[place, head]
                        logits.append((query[own] * key[own]).sum() / size**0.5 + bias)
                        values.append(value[own])
                weights = torch.stack(logits).softmax(0)
                mixed.append(sum(w * value for w, value in zip(weights, values, strict=True)))
            pixel = image[y][x] + block.attention.projection(torch.cat(mixed))
            hidden = F.gelu(block.mlp[0](F.layer_norm(pixel, (dim,), block.norm2.weight, block.norm2.bias)))
            row.append(pixel + block.mlp[2](hidden))
        out.append(row)
    return out


@torch.no_grad()
def test_intra_domain_fusion_is_window_self_attention_of_each_stream_alone():
    heads, window = 2, 2
    interaction = perturb(stage(dim=4, heads=heads, window=window, blocks=3, arrangement=["intra"]))
    streams = torch.randn(2, 1, 4, 6, 4, dtype=torch.float64).unbind()
    norms = (interaction.norm_a, interaction.norm_b)
    for side, (x, norm, fused) in enumerate(zip(streams, norms, interaction(*streams), strict=True)):
        image = [list(row) for row in x[0]]
        for i, block in enumerate(interaction.blocks):
            image = plain_self_block(block.streams[side], image, heads, window, shift=i % 2)
        expected = norm(torch.stack([torch.stack(row) for row in image]))
        torch.testing.assert_close(fused[0], expected, atol=1e-10, rtol=1e-10)


def test_arrangement_is_repeated_to_the_number_of_blocks():
    kinds = [type(block) for block in stage(blocks=6, arrangement=SF).blocks]
    assert kinds == [IntraBlock, IntraBlock, InterBlock, InterBlock, IntraBlock, IntraBlock]


def test_shift_alternates_and_depth_grows_for_each_kind_as_in_swinfusion():
    blocks = stage(blocks=8, drop_path=0.3, arrangement=SF).blocks
    shifts, rates = [], []
    for block in blocks:
        attention = block.attention[0] if isinstance(block, InterBlock) else block.streams[1].attention
        shifts.append(attention.shift)
        rates.append({module.rate for module in block.modules() if isinstance(module, DropPath)})
    assert shifts == [0, 2] * 4
    assert [rate for (rate,) in rates] == pytest.approx([0, 0.1, 0, 0.1, 0.2, 0.3, 0.2, 0.3])


@torch.no_grad()
def test_streams_meet_only_in_inter_domain_blocks():
    x, y, other = torch.randn(3, 1, 8, 8, 12, dtype=torch.float64).unbind()
    for arrangement, meets in ((["intra"], False), (["inter"], True), (SF, True)):
        interaction = perturb(stage(arrangement=arrangement))
        assert torch.equal(interaction(x, y)[0], interaction(x, other)[0]) != meets, arrangement


@torch.no_grad()
def test_without_blocks_the_streams_stay_to_themselves():
    interaction = perturb(stage(blocks=0))
    x, y = torch.randn(2, 1, 8, 8, 12, dtype=torch.float64).unbind()
    assert not interaction.blocks
    for own, norm, fused in zip((x, y), (interaction.norm_a, interaction.norm_b), interaction(x, y), strict=True):
        torch.testing.assert_close(fused, norm(own))


@pytest.mark.parametrize("arrangement", [[], ["inter", "cross"]])
def test_arrangement_of_other_words_is_refused(arrangement):
    with pytest.raises(ValueError, match="`arrangement` should be a list of `inter` and `intra`"):
        stage(arrangement=arrangement)


@pytest.mark.parametrize(
    ("arguments", "official"),
    [
        ({}, 1_386_865),
        ({"operations": ()}, 1_297_201),
        ({"pixel_attention": None, "arrangement": SF}, 1_063_345),
        ({"pixel_attention": None, "arrangement": SF, "operations": ()}, 973_681),
        ({"pixel_attention": None, "arrangement": ["inter"], "operations": ()}, 973_681),
        ({"pixel_attention": None, "arrangement": ["intra"], "operations": ()}, 973_681),
        ({"pixel_attention": PA}, 1_386_865),
    ],
)
def test_size_of_every_ablation(arguments, official):
    """As the official code counts them, with the parameters that it never uses."""
    assert sum(parameter.numel() for parameter in TITA(**arguments).parameters()) == official - DEAD


@torch.no_grad()
def test_pa_and_ipa_differ_where_the_score_is_high():
    """Where the discriminator says the other source matters, IPA turns to it; PA gives it half at the most."""
    dim = 2
    shares = {}
    for kind in (IPA, PA):
        attention = kind(dim, 1).double()
        for parameter in attention.parameters():
            parameter.zero_()
        for layer in (attention.attention_a, attention.attention_b):
            for linear in (layer.query, layer.key, layer.value, layer.projection):
                linear.weight.copy_(torch.eye(dim))
        # The score of the first channel grows with the second stream, from one half towards one.
        attention.discriminator[0].weight[0, dim + 1] = 1
        attention.discriminator[2].weight[0, 0] = 1
        x = torch.tensor([2.0, 0.0], dtype=torch.float64).expand(1, 1, 2, dim)
        y = torch.tensor([[0.0, 0.0], [0.0, 9.0]], dtype=torch.float64).view(1, 1, 2, dim)
        low, high = attention.relation_score(x, y)[0, 0, :, 0].tolist()
        assert low == pytest.approx(0.5)
        assert high > 0.999
        # out = x + (1 - s) x + s y, read off in the first channel, where y is zero.
        shares[kind] = 1 - (attention(x, y)[0][0, 0, :, 0] / 2 - 1)
    assert (shares[IPA] > 0.5).all()
    assert (shares[PA] <= 0.5).all()
    assert shares[IPA][1] - shares[PA][1] > 0.4
    assert shares[IPA][1] > shares[IPA][0] + 0.05
