import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fusion_lab.networks import TITA
from fusion_lab.networks.layers.drop_path import DropPath
from fusion_lab.networks.layers.linear import Linear, product
from fusion_lab.networks.layers.padding import pad_to_multiple, pad_to_next_multiple
from fusion_lab.networks.layers.pooling import image_moments
from fusion_lab.networks.layers.strips import in_strips
from fusion_lab.networks.layers.windows import (
    join_heads,
    relative_position_index,
    shift_mask,
    split_heads,
    window_partition,
    window_reverse,
)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 3, 4, 8]), st.integers(1, 3))
def test_window_reverse_undoes_window_partition(batch, rows, columns, window, channels):
    x = torch.arange(batch * rows * columns * window**2 * channels)
    x = x.view(batch, rows * window, columns * window, channels)
    windows = window_partition(x, window)
    assert windows.shape == (batch, rows * columns, window**2, channels)
    assert torch.equal(window_reverse(windows, window, rows * window, columns * window), x)


def test_windows_and_their_tokens_are_in_row_major_order():
    x = torch.arange(24).view(1, 4, 6, 1)
    windows = window_partition(x, 2)[0, :, :, 0]
    assert windows[0].tolist() == [0, 1, 6, 7]
    assert windows[1].tolist() == [2, 3, 8, 9]
    assert windows[3].tolist() == [12, 13, 18, 19]


def test_relative_position_index_counts_offsets():
    index = relative_position_index(8)
    assert index.shape == (64, 64)
    assert (index.diagonal() == 15 * 7 + 7).all()
    for query, key in [((0, 0), (7, 7)), ((7, 7), (0, 0)), ((2, 5), (6, 1))]:
        expected = 15 * (query[0] - key[0] + 7) + (query[1] - key[1] + 7)
        assert index[8 * query[0] + query[1], 8 * key[0] + key[1]] == expected


@settings(max_examples=15, deadline=None)
@given(st.sampled_from([8, 16, 24]), st.sampled_from([8, 16, 24]))
def test_shift_mask_hides_what_the_roll_brought_together(height, width):
    """Two tokens of a window may see each other if undoing the roll keeps their distance."""
    window, shift = 8, 4
    grid = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), dim=-1)
    here = window_partition(grid[None], window)[0]
    origin = window_partition(grid[None].roll((-shift, -shift), dims=(1, 2)), window)[0]
    neighbours = (here[:, :, None] - here[:, None] == origin[:, :, None] - origin[:, None]).all(dim=-1)
    mask = shift_mask(height, width, window, shift, like=torch.zeros((), dtype=torch.float64))
    assert mask.dtype == torch.float64
    assert torch.equal(mask, torch.where(neighbours, 0.0, -100.0).double())


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 20), st.integers(8, 20))
def test_pad_to_multiple_mirrors_without_the_edge(height, width):
    x = torch.rand(1, 1, height, width)
    padded = pad_to_multiple(x, 8)
    assert padded.shape[-2:] == (math.ceil(height / 8) * 8, math.ceil(width / 8) * 8)
    assert torch.equal(padded[..., :height, :width], x)
    for i in range(padded.shape[-2] - height):
        assert torch.equal(padded[..., height + i, :width], x[..., height - 2 - i, :])
    for i in range(padded.shape[-1] - width):
        assert torch.equal(padded[..., :height, width + i], x[..., width - 2 - i])


@settings(max_examples=25, deadline=None)
@given(st.integers(8, 20), st.integers(8, 20))
def test_pad_to_next_multiple_mirrors_the_edge_and_always_grows(height, width):
    x = torch.rand(1, 1, height, width)
    padded = pad_to_next_multiple(x, 8)
    assert padded.shape[-2:] == (height // 8 * 8 + 8, width // 8 * 8 + 8)
    assert torch.equal(padded[..., :height, :width], x)
    for i in range(padded.shape[-2] - height):
        assert torch.equal(padded[..., height + i, :width], x[..., height - 1 - i, :])
    for i in range(padded.shape[-1] - width):
        assert torch.equal(padded[..., :height, width + i], x[..., width - 1 - i])


def test_drop_path_drops_whole_samples_at_its_rate_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.rand(20000, 2, 3) + 0.5
    y = DropPath(0.3)(x)
    factor = y / x
    assert torch.equal(factor == 0, (factor[:, :1, :1] == 0).expand_as(factor))
    torch.testing.assert_close(factor[factor != 0], torch.full_like(factor[factor != 0], 1 / 0.7))
    # Four standard deviations of the share of 20,000 draws.
    assert abs((factor[:, 0, 0] == 0).double().mean().item() - 0.3) < 4 * math.sqrt(0.21 / 20000)


def test_drop_path_draws_anew_each_call():
    drop, x = DropPath(0.5), torch.ones(64, 1)
    assert not torch.equal(drop(x), drop(x))


def test_drop_path_is_the_identity_in_eval_mode_and_at_rate_zero():
    x = torch.rand(8, 3)
    assert torch.equal(DropPath(0.9).eval()(x), x)
    assert torch.equal(DropPath(0.0).train()(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_drop_path_refuses_impossible_rates(rate):
    with pytest.raises(ValueError, match="`rate` should lie in"):
        DropPath(rate)


@pytest.fixture(scope="module")
def tita():
    torch.manual_seed(0)
    return TITA()


def is_uniform(values, bound):
    """Within the bound, close to it, and with the variance of a uniform distribution."""
    largest = values.abs().max().item()
    spread = values.std().item()
    # The relative deviation of a sample deviation of n uniform draws is about sqrt(0.2 / n).
    return (
        largest <= bound
        and largest > bound * (1 - 20 / values.numel())
        and abs(spread / (bound / 3**0.5) - 1) < 4 * math.sqrt(0.2 / values.numel())
    )


def is_normal(values, deviation):
    count = values.numel()
    return (
        abs(values.mean().item()) < 4 * deviation / math.sqrt(count)
        and abs(values.std().item() / deviation - 1) < 4 / math.sqrt(2 * count)
        # A normal distribution has 4.6 % beyond two deviations, a uniform one of the same spread has none.
        and (values.abs() > 2 * deviation).double().mean().item() > 0.046 - 4 * math.sqrt(0.044 / count)
    )


def test_every_parameter_starts_as_the_release_starts_it(tita):
    """Section 3 of the specification, parameter by parameter, none left out."""
    seen = set()

    def check(name, test, *arguments):
        seen.add(name)
        assert test(parameters[name].detach(), *arguments), name

    def zero(values):
        return not values.any()

    def one(values):
        return (values == 1).all()

    parameters = dict(tita.named_parameters())
    for name, module in tita.named_modules():
        prefix = f"{name}."
        if isinstance(module, nn.LayerNorm):
            check(prefix + "weight", one)
            check(prefix + "bias", zero)
        elif isinstance(module, nn.Linear):
            in_projection = "pixel_attention.attention" in name and not name.endswith("projection")
            if in_projection:
                check(prefix + "weight", is_uniform, math.sqrt(6 / 240))
            else:
                check(prefix + "weight", is_normal, 0.02)
            check(prefix + "bias", zero)
        elif isinstance(module, nn.Conv2d):
            fan_in, fan_out = (
                channels * module.kernel_size[0] ** 2 for channels in (module.in_channels, module.out_channels)
            )
            if name.startswith("adaptation."):
                check(prefix + "weight", is_uniform, math.sqrt(6 / (fan_in + fan_out)))
                check(prefix + "bias", zero)
            else:
                check(prefix + "weight", is_uniform, 1 / math.sqrt(fan_in))
                seen.add(prefix + "bias")
                assert parameters[prefix + "bias"].abs().max() <= 1 / math.sqrt(fan_in), name
                assert parameters[prefix + "bias"].any(), name
    for name in parameters:
        if name.endswith("bias_table"):
            check(name, is_normal, 0.02)
        elif name.endswith(("noise1", "noise2")):
            seen.add(name)
    # 120 values are few for a distribution; all 16 offsets together are enough.
    noise = [p.detach().flatten() for name, p in parameters.items() if name.endswith(("noise1", "noise2"))]
    assert is_normal(torch.cat(noise), 1.0)
    assert seen == set(parameters)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(1, 3),
    columns=st.integers(1, 4),
    window=st.integers(1, 5),
    heads=st.sampled_from([1, 2, 3]),
    seed=st.integers(0, 9),
)
def test_heads_are_split_by_windows_and_joined_again(rows, columns, window, heads, seed):
    torch.manual_seed(seed)
    x = torch.rand(2, rows * window, columns * window, 6)
    split = split_heads(x, window, heads)
    expected = window_partition(x, window).unflatten(1, (rows, columns)).mT.unflatten(-2, (heads, -1))
    assert torch.equal(split, expected)
    assert torch.equal(join_heads(split, window), x)


@pytest.mark.parametrize("given", ["plain", "view", "no bias"])
def test_products_in_strips_are_those_of_pytorch(given):
    torch.manual_seed(0)
    layer = Linear(60, 180, bias=given != "no bias")
    x = torch.rand(1, 8, 24, 70)[..., 3:63] if given == "view" else torch.rand(1, 8, 24, 60)
    expected = torch.nn.functional.linear(x, layer.weight, layer.bias)
    with torch.no_grad(), in_strips():
        assert torch.allclose(layer(x), expected, rtol=0, atol=1e-6)
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("rows", [(3,), (2, 8, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_products_have_the_gradients_of_pytorch(rows, bias):
    """Also several at once, as TorchJD takes them, gradients of gradients, and those of `torch.func`."""
    torch.manual_seed(0)
    layer = Linear(6, 9, bias)
    x = torch.randn(*rows, 6, requires_grad=True)
    given = [x, *layer.parameters()]
    many = torch.randn(3, *rows, 9)

    def gradients(product):
        out = product(x, layer.weight, layer.bias)
        batched = torch.autograd.grad(out, given, many, is_grads_batched=True, retain_graph=True)
        once = torch.autograd.grad(out.square().sum(), [x, layer.weight], create_graph=True)
        twice = torch.autograd.grad(sum(each.square().sum() for each in once), given[:2])
        functional = torch.func.grad(lambda inner: product(inner, layer.weight, layer.bias).sum())(x.detach())
        return out, batched, once, twice, functional

    torch.testing.assert_close(gradients(product), gradients(torch.nn.functional.linear), rtol=1e-4, atol=1e-3)


def test_a_product_trains_its_bias_alone():
    layer = Linear(6, 9)
    layer.weight.requires_grad_(False)
    layer(torch.rand(70, 6)).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((9,), 70.0))


@pytest.mark.parametrize("weight", [torch.rand(9, 5), torch.rand(9, 6, dtype=torch.float64)])
def test_wrong_products_are_told_as_pytorch_does(weight):
    x = torch.rand(70, 6)
    with pytest.raises(RuntimeError) as expected:
        torch.nn.functional.linear(x, weight)
    with pytest.raises(RuntimeError) as error:
        product(x, weight, None)
    assert str(error.value) == str(expected.value)


def test_products_may_be_changed_in_place():
    layer, x = Linear(6, 9), torch.rand(2, 70, 6)
    layer(x).relu_().sum().backward()
    changed = layer.weight.grad.clone()
    layer.zero_grad()
    torch.nn.functional.linear(x, layer.weight, layer.bias).relu().sum().backward()
    torch.testing.assert_close(changed, layer.weight.grad)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 40), st.integers(1, 70), st.sampled_from([None, 64, 500]))
def test_moments_of_parts_are_those_of_the_whole_map(batch, channels, height, width, pixels):
    x = (3 + torch.randn(batch, channels, height, width)).contiguous(memory_format=torch.channels_last)
    expected = torch.var_mean(x.double(), dim=(1, 2, 3), correction=0, keepdim=True)
    with torch.no_grad(), in_strips(pixels):
        mean, variance = image_moments(x)
    for actual, right in ((variance, expected[0]), (mean, expected[1])):
        torch.testing.assert_close(actual.double(), right, rtol=1e-5, atol=1e-6)
