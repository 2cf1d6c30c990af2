import copy
import pickle

import pytest
import torch
from torch import nn

from fusion_lab.networks.attention import IPA, PA, WindowAttention, window
from fusion_lab.networks.attention.pixel import TwoKeyAttention
from fusion_lab.networks.layers.windows import shift_mask, window_partition


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def perturb(module):
    """Move every parameter away from its start, so that zero biases and small weights hide nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module.double().eval()


@pytest.mark.parametrize(("dim", "heads"), [(12, 3), (8, 1), (6, 6)])
def test_two_key_attention_is_multi_head_attention_over_two_tokens(dim, heads):
    ours = perturb(TwoKeyAttention(dim, heads))
    reference = nn.MultiheadAttention(dim, heads, batch_first=True).double().eval()
    layers = (ours.query, ours.key, ours.value)
    reference.load_state_dict(
        {
            "in_proj_weight": torch.cat([layer.weight for layer in layers]),
            "in_proj_bias": torch.cat([layer.bias for layer in layers]),
            "out_proj.weight": ours.projection.weight,
            "out_proj.bias": ours.projection.bias,
        }
    )
    query, key0, key1, value0, value1 = torch.randn(5, 2, 3, 4, dim, dtype=torch.float64).unbind()

    def pixels(*tokens):
        return torch.stack(tokens, dim=-2).flatten(0, 2)

    expected, _ = reference(pixels(query), pixels(key0, key1), pixels(value0, value1))
    actual = ours(query, key1 - key0, (value0, value1))
    torch.testing.assert_close(actual.flatten(0, 2), expected[:, 0], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("kind", [IPA, PA])
def test_pixel_attention_follows_its_formula(kind):
    dim = 6
    module = perturb(kind(dim, 2))
    x, y = torch.randn(2, 1, 2, 3, dim, dtype=torch.float64).unbind()
    new_x, new_y = module(x, y)
    for own, other, attention, row, actual in (
        (x, y, module.attention_a, 0, new_x),
        (y, x, module.attention_b, 1, new_y),
    ):
        hidden = nn.functional.gelu(module.discriminator[0](torch.cat([own, other], dim=-1)))
        score = module.discriminator[2](hidden).softmax(dim=-1)
        noise1, noise2 = module.noise1[row], module.noise2[row]
        keys, values = {
            IPA: ((noise1 + own * (1 - score), noise2 + own * (1 + score)), (own, other)),
            PA: ((noise1 + own, own * score), (noise2 + own, other)),
        }[kind]
        torch.testing.assert_close(actual, own + attention(own, keys[1] - keys[0], values))


def test_relation_scores_are_positive_and_sum_to_one_over_the_channels():
    ipa = perturb(IPA(6, 2))
    x, y = torch.randn(2, 1, 2, 3, 6, dtype=torch.float64).unbind()
    score = ipa.relation_score(x, y)
    assert (score > 0).all()
    torch.testing.assert_close(score.sum(dim=-1), torch.ones(1, 2, 3, dtype=torch.float64))
    assert not torch.allclose(score, ipa.relation_score(y, x))


@pytest.mark.parametrize("shift", [0, 4])
def test_window_attention_is_the_same_with_and_without_gradients(shift):
    attention = perturb(WindowAttention(12, 3, 8, shift))
    query, other = torch.randn(2, 2, 16, 24, 12, dtype=torch.float64).unbind()
    trained = attention(query, other)
    assert trained.requires_grad
    with torch.no_grad():
        fused = attention(query, other)
    torch.testing.assert_close(trained.detach(), fused, atol=1e-12, rtol=1e-10)


def test_window_attention_by_its_formula():
    attention = perturb(WindowAttention(6, 2, 2))
    query, other = torch.randn(2, 1, 2, 4, 6, dtype=torch.float64).unbind()
    with torch.no_grad():
        actual = window_partition(attention(query, other), 2)[0]
        for window, (q_tokens, o_tokens) in enumerate(
            zip(*(window_partition(x, 2)[0] for x in (query, other)), strict=True)
        ):
            keys, values = attention.key_value(o_tokens).split(6, dim=-1)
            queries = attention.query(q_tokens)
            outputs = []
            for head in range(2):
                own = slice(3 * head, 3 * head + 3)
                logits = queries[:, own] @ keys[:, own].T / 3**0.5
                for i in range(4):
                    for j in range(4):
                        dy, dx = i // 2 - j // 2, i % 2 - j % 2
                        logits[i, j] += attention.bias_table[3 * (dy + 1) + dx + 1, head]
                outputs.append(logits.softmax(dim=-1) @ values[:, own])
            torch.testing.assert_close(actual[window], attention.projection(torch.cat(outputs, dim=-1)))


def reached(attention, row, column):
    """The pixels whose features the output at one pixel depends on."""
    x = torch.randn(1, 16, 16, 4, dtype=torch.float64, requires_grad=True)
    attention(x, x)[0, row, column].sum().backward()
    rows, columns = torch.nonzero(x.grad[0].abs().sum(dim=-1) > 1e-30, as_tuple=True)
    return (rows.min().item(), rows.max().item(), columns.min().item(), columns.max().item())


def test_unshifted_windows_end_at_multiples_of_the_window():
    attention = perturb(WindowAttention(4, 2, 8))
    assert reached(attention, 3, 12) == (0, 7, 8, 15)


def test_shifted_windows_straddle_the_border_and_do_not_wrap_around():
    attention = perturb(WindowAttention(4, 2, 8, shift=4))
    assert reached(attention, 7, 8) == (4, 11, 4, 11)
    assert reached(attention, 0, 8) == (0, 3, 4, 11)
    assert reached(attention, 15, 15) == (12, 15, 12, 15)
    assert reached(attention, 0, 15) == (0, 3, 12, 15)


def test_cross_attention_takes_values_from_the_other_map_alone():
    attention = perturb(WindowAttention(4, 2, 8))
    query = torch.randn(1, 8, 8, 4, dtype=torch.float64)
    constant = torch.randn(4, dtype=torch.float64).expand(1, 8, 8, 4)
    with torch.no_grad():
        # Equal keys leave nothing to choose: whatever is asked, the answer is the one value.
        expected = attention.projection(attention.key_value(constant)[..., 4:])
        torch.testing.assert_close(attention(query, constant), expected)


def plain_attention(queries, keys, values, bias, masks):
    """The formula on whole maps, differentiated by PyTorch."""
    logits = queries.mT @ keys / queries.shape[-2] ** 0.5 + bias
    if masks is not None:
        kinds = torch.zeros(logits.shape[1:3], dtype=torch.long)
        kinds[:, -1] += 1
        kinds[-1] += 2
        logits = logits + masks[kinds][:, :, None]
    return values @ logits.softmax(dim=-1).mT


@pytest.mark.parametrize("most", [1, 200, 2**19])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 2), (3, 1, 4)])
@pytest.mark.parametrize("shift", [0, 1])
def test_attention_and_its_gradients_by_the_formula_in_parts_of_any_size(most, shape, shift, monkeypatch):
    monkeypatch.setattr(window, "MOST_LOGITS", {"cpu": most})
    inputs = [torch.randn(*shape, 2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    inputs.append(torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True))
    masks = shift_mask(4, 4, 2, shift, like=inputs[0]) if shift else None
    grad = torch.randn(*shape, 2, 3, 4, dtype=torch.float64)
    ours, plain = (function(*inputs, masks) for function in (window.attention, plain_attention))
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(torch.autograd.grad(ours, inputs, grad), torch.autograd.grad(plain, inputs, grad))


@pytest.mark.parametrize("size", [1.0, 30.0, 3000.0])
def test_attention_in_float32_takes_logits_of_any_size(size):
    torch.manual_seed(0)
    inputs = [torch.randn(2, 3, 2, 2, 3, 16, requires_grad=True) for _ in range(3)]
    bias = (size * torch.randn(2, 16, 16)).requires_grad_()
    given, grad = [*inputs, bias], torch.randn(2, 3, 2, 2, 3, 16)
    masks = shift_mask(8, 8, 4, 2, like=bias.detach())
    ours = window.attention(*given, masks)
    exact = [each.detach().double().requires_grad_() for each in given]
    plain = plain_attention(*exact, masks.double())
    torch.testing.assert_close(ours.double(), plain, rtol=1e-3, atol=1e-3)
    found = [each.double() for each in torch.autograd.grad(ours, given, grad)]
    torch.testing.assert_close(found, list(torch.autograd.grad(plain, exact, grad.double())), rtol=1e-2, atol=1e-2)


def test_attention_may_be_mapped_over():
    many = torch.randn(3, 3, 1, 2, 2, 2, 3, 16)
    bias = torch.randn(2, 16, 16)
    mapped = torch.func.vmap(lambda one: window.attention(*one, bias))(many)
    torch.testing.assert_close(mapped, torch.stack([window.attention(*one, bias) for one in many]))


def test_attention_keeps_no_probabilities_for_the_backward_pass():
    attention = WindowAttention(8, 2, 8)
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):
        attention(*torch.randn(2, 1, 32, 32, 8))
    assert max(sizes) <= 2 * 32 * 32 * 8 < 16 * 2 * 64 * 64


def test_functional_gradients_and_batched_ones():
    """What TorchJD asks for: several gradients of one graph, at once or one after the other."""
    attention = perturb(WindowAttention(4, 2, 2, shift=1))
    x = torch.randn(1, 4, 6, 4, dtype=torch.float64, requires_grad=True)
    out = attention(x, x).flatten(0, -2)
    parameters = [x, *attention.parameters()]
    rows = torch.randn(3, *out.shape, dtype=torch.float64)
    batched = torch.autograd.grad(out, parameters, rows, retain_graph=True, is_grads_batched=True)
    for i, row in enumerate(rows):
        alone = torch.autograd.grad(out, parameters, row, retain_graph=True)
        torch.testing.assert_close([each[i] for each in batched], list(alone))
    of_x = torch.func.grad(lambda x: (attention(x, x).flatten(0, -2) * rows[0]).sum())(x.detach())
    torch.testing.assert_close(of_x, batched[0][0])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_nearly_the_same_gradients(dtype):
    attention = WindowAttention(8, 2, 4, shift=2)
    x, y = torch.randn(2, 1, 8, 8, 8).unbind()
    gradients = []
    for enabled in (False, True):
        attention.zero_grad()
        with torch.autocast("cpu", dtype, enabled=enabled):
            out = attention(x, y)
        assert out.dtype == (dtype if enabled else torch.float32)
        loss = out.float().square().sum()
        loss.backward(retain_graph=True)
        gradients.append([p.grad.clone() for p in attention.parameters()])
        with torch.autocast("cpu", dtype):
            again = torch.autograd.grad(loss, list(attention.parameters()))
        torch.testing.assert_close(list(again), gradients[-1], rtol=0.05, atol=0.05)
    for exact, half in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        assert (half - exact).norm() <= 0.03 * exact.norm() + 1e-3


@pytest.mark.parametrize("move", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_constants_of_a_network_first_used_in_inference_mode_are_fit_for_training(move):
    attention = WindowAttention(4, 2, 2, shift=1)
    x = torch.randn(1, 4, 4, 4)
    with torch.inference_mode():
        attention(x, x)
    moved = move(attention)
    moved(x, x).sum().backward()
    assert all(parameter.grad is not None for parameter in moved.parameters())
    assert {name.split(".")[0] for name in moved.state_dict()} == {"query", "key_value", "projection", "bias_table"}
    with torch.device("meta"):
        meta = WindowAttention(4, 2, 2, shift=1)
    assert meta(x.to("meta"), x.to("meta")).shape == x.shape


def test_compiled_attention_is_the_same():
    attention = perturb(WindowAttention(4, 2, 2, shift=1))
    x, y = torch.randn(2, 1, 4, 6, 4, dtype=torch.float64).unbind()
    torch.testing.assert_close(torch.compile(attention, backend="aot_eager", fullgraph=True)(x, y), attention(x, y))
