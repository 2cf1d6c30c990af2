from itertools import combinations

import pytest
import torch
from torch.nn import functional as F

from fusion_lab.networks.operations import Addition, HighPass, HighPassZeroPadded, Multiplication
from fusion_lab.networks.operations.adaptive_fusion import AdaptiveFusion
from fusion_lab.networks.operations.convolution_fusion import ConvolutionFusion

DIM = 4
ALL = (HighPass, Addition, Multiplication)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def perturbed(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module.double()


def maps():
    return torch.randn(2, 2, DIM, 6, 7, dtype=torch.float64).unbind()


def test_operation_weights_sum_to_one_over_both_sources_for_each_image():
    fusion = perturbed(AdaptiveFusion(DIM))
    x, y = maps()
    weights = fusion.operation_weights(x, y)
    assert weights.shape == (2, 2, 3)
    assert (weights > 0).all()
    torch.testing.assert_close(weights.sum(dim=(1, 2)), torch.ones(2, dtype=torch.float64))
    assert not torch.allclose(weights[0], weights[1])


def test_output_is_the_weighted_sum_of_all_branches():
    fusion = perturbed(AdaptiveFusion(DIM))
    x, y = maps()
    weights = fusion.operation_weights(x, y)
    expected = torch.zeros_like(x)
    for source, (image, operations) in enumerate(((x, fusion.source_a), (y, fusion.source_b))):
        compressed = operations.compress(image)
        for i, operation in enumerate(operations.branches.values()):
            expected += weights[:, source, i].view(2, 1, 1, 1) * operation(image, compressed)
    torch.testing.assert_close(fusion(x, y), expected)


def test_branches_keep_the_order_that_is_asked_for():
    fusion = AdaptiveFusion(DIM, (Multiplication, HighPass))
    assert list(fusion.source_a.branches) == ["Multiplication", "HighPass"]


def test_removing_multiplication_removes_its_parameters_and_its_share():
    full, without = AdaptiveFusion(60), AdaptiveFusion(60, (HighPass, Addition))
    count = {fusion: sum(p.numel() for p in fusion.parameters()) for fusion in (full, without)}
    # Its 3x3 convolution for each source, and two rows of the last layer that weighs the branches.
    assert count[full] - count[without] == 2 * 32_460 + 122
    assert not any("Multiplication" in name for name in without.state_dict())
    x = torch.randn(1, 60, 6, 7)
    weights = without.operation_weights(x, x)
    assert weights.shape == (1, 2, 2)
    assert weights.sum().item() == pytest.approx(1)


@torch.no_grad()
def test_without_multiplication_it_is_the_whole_with_that_share_taken_away():
    """Equal to OAF whose weights of MUL are pushed to zero: the others share what it had."""
    full, without = perturbed(AdaptiveFusion(DIM)), AdaptiveFusion(DIM, (HighPass, Addition)).double()
    kept = {name: tensor for name, tensor in full.state_dict().items() if "Multiplication" not in name}
    last = [name for name in kept if name.startswith("weight_generator.2")]
    kept.update({name: kept[name][[0, 1, 3, 4]] for name in last})
    without.load_state_dict(kept)
    x, y = maps()
    assert not torch.allclose(full(x, y), without(x, y))
    full.weight_generator[2].bias[[2, 5]] = -1e3
    torch.testing.assert_close(full(x, y), without(x, y))


@pytest.mark.parametrize("operations", [c for n in (1, 2, 3) for c in combinations(ALL, n)])
def test_every_choice_of_branches_trains(operations):
    fusion = perturbed(AdaptiveFusion(DIM, operations))
    fusion(*maps()).square().sum().backward()
    assert all(p.grad is not None for p in fusion.parameters())


@pytest.mark.parametrize("operations", [(), (Addition, Addition)])
def test_no_branch_or_the_same_twice_is_refused(operations):
    with pytest.raises(ValueError, match="`operations` should name"):
        AdaptiveFusion(DIM, operations)


def test_low_pass_kernels_sum_to_one_and_keep_the_centre_heavy():
    high_pass = HighPass(DIM).double()
    compressed = torch.randn(2, DIM, 6, 7, dtype=torch.float64)
    kernels = high_pass.kernels(compressed)
    assert kernels.shape == (2, 9, 6, 7)
    torch.testing.assert_close(kernels.sum(dim=1), torch.ones(2, 6, 7, dtype=torch.float64))
    for parameter in high_pass.parameters():
        torch.nn.init.zeros_(parameter)
    # Equal logits leave the Hamming window: 1 / (1 + 4 * 0.08 + 4 * 0.0064).
    assert high_pass.kernels(compressed)[0, 4, 0, 0].item() == pytest.approx(1 / 1.3456)
    assert high_pass.kernels(compressed)[0, 1, 0, 0].item() == pytest.approx(0.08 / 1.3456)
    assert high_pass.kernels(compressed)[0, 0, 0, 0].item() == pytest.approx(0.0064 / 1.3456)


def test_high_pass_of_a_constant_is_zero():
    x = torch.full((1, DIM, 5, 6), 3.0, dtype=torch.float64)
    compressed = torch.randn_like(x)
    high_pass = perturbed(HighPass(DIM))
    assert high_pass(x, compressed).abs().max() < 1e-12
    zero_padded = HighPassZeroPadded(DIM).double()
    zero_padded.load_state_dict(high_pass.state_dict())
    out = zero_padded(x, compressed)
    assert out[..., 1:-1, 1:-1].abs().max() < 1e-12
    # Zeros beyond the border pull the low-pass down on the outermost frame, and there alone.
    frame = torch.ones(5, 6, dtype=torch.bool)
    frame[1:-1, 1:-1] = False
    assert (out[..., frame] > 1e-3).all()


def test_high_pass_subtracts_what_each_pixels_kernel_gathers():
    high_pass = perturbed(HighPass(DIM))
    x, compressed = maps()
    kernels = high_pass.kernels(compressed)
    out = high_pass(x, compressed)
    mirrored = F.pad(x, (1, 1, 1, 1), mode="reflect")
    for row, column in [(0, 0), (2, 3), (5, 6)]:
        patch = mirrored[..., row : row + 3, column : column + 3].flatten(2)
        low = (patch * kernels[:, None, :, row, column]).sum(dim=-1)
        torch.testing.assert_close(out[..., row, column], x[..., row, column] - low)


def test_addition_and_multiplication_by_their_formulas():
    x, compressed = maps()
    for operation, expected in ((Addition, torch.add), (Multiplication, torch.mul)):
        layer = perturbed(operation(DIM))
        operand = F.conv2d(compressed, layer.generator.weight, layer.generator.bias, padding=1)
        torch.testing.assert_close(layer(x, compressed), expected(x, operand))


def test_both_paddings_of_the_high_pass_share_their_weights_and_differ_in_the_border_only():
    reflected, zeros = AdaptiveFusion(6, [HighPass]), AdaptiveFusion(6, [HighPassZeroPadded])
    zeros.load_state_dict(reflected.state_dict())
    x, y = torch.randn(2, 1, 6, 10, 12).unbind()
    difference = (reflected(x, y) - zeros(x, y)).abs().amax(dim=(0, 1))
    assert difference[1:-1, 1:-1].max() == 0
    assert difference.max() > 0


@pytest.mark.parametrize("operations", [ALL, (HighPass, Addition)])
def test_fixed_weights_are_equal_and_sum_to_one(operations):
    fusion = perturbed(AdaptiveFusion(DIM, operations, dynamic_weights=False))
    x, y = maps()
    weights = fusion.operation_weights(x, y)
    assert torch.equal(weights, torch.full_like(weights, 1 / (2 * len(operations))))
    assert not any("weight_generator" in name for name in fusion.state_dict())
    branches = [*fusion.source_a(x), *fusion.source_b(y)]
    torch.testing.assert_close(fusion(x, y), sum(branches) / len(branches))


def test_convolution_fusion_by_its_formula():
    fusion = perturbed(ConvolutionFusion(DIM))
    x, y = maps()
    layer = fusion.convolution
    expected = F.conv2d(torch.cat([x, y], dim=1), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(fusion(x, y), F.leaky_relu(expected, 0.2))
