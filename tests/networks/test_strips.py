"""Inference over parts of the maps gives what the plain forward pass gives."""

from typing import ClassVar

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from fusion_lab import networks
from fusion_lab.networks import TITA
from fusion_lab.networks.attention import IPA, PA
from fusion_lab.networks.layers.strips import in_strips, over_rows, over_windows
from fusion_lab.networks.operations import Addition, HighPass, HighPassZeroPadded, Multiplication, Operation
from tests.networks.test_contracts import SMALL, network, sources  # noqa: F401


class Blurring(IPA):
    """A pixel attention that looks around, and says so."""

    local: ClassVar[bool] = False

    def __init__(self, dim, num_heads):
        super().__init__(dim, num_heads)
        self.blur = nn.Conv2d(dim, dim, 5, padding=2)

    def forward(self, x, y):
        return super().forward(self.blur(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), y)


class Centred(Operation):
    """A branch that sees the whole map and says nothing about it."""

    def forward(self, x, compressed):
        return x - self.generator(compressed).mean(dim=(-2, -1), keepdim=True)


class WiderHighPass(HighPass):
    """Looks further than its parent and does not say it."""

    def forward(self, x, compressed):
        return super().forward(nn.functional.avg_pool2d(x, 9, 1, 4), compressed)


ATTENTIONS = [None, IPA, PA, Blurring]
ARRANGEMENTS = [["inter"], ["intra"], ["intra", "intra", "inter", "inter"]]
OPERATIONS = [(), (HighPass, Addition, Multiplication), (HighPassZeroPadded,), (Addition, Centred), (WiderHighPass,)]


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(8, 45), st.integers(8, 45)),
    batch=st.integers(1, 2),
    pixels=st.sampled_from([1, 64, 130, 300, 1000]),
    window=st.sampled_from([4, 5, 8]),
    attention=st.sampled_from(ATTENTIONS),
    arrangement=st.sampled_from(ARRANGEMENTS),
    operations=st.sampled_from(OPERATIONS),
    dynamic=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_tita_in_parts_equals_the_plain_forward(
    size, batch, pixels, window, attention, arrangement, operations, dynamic, seed
):
    torch.manual_seed(seed)
    arguments = {**SMALL["TITA"], "num_interaction_blocks": 3, "window_size": window}
    tita = TITA(
        **arguments,
        pixel_attention=attention,
        arrangement=arrangement,
        operations=operations,
        dynamic_weights=dynamic or not operations,
    ).eval()
    with torch.no_grad():
        for parameter in tita.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
        a, b = sources(batch, *size)
        plain = tita(a, b)
        with in_strips(pixels):
            parts = tita(a, b)
        exact = tita.double()(a.double(), b.double())
    scale = max(1, plain.abs().max().item())
    # A norm over next to nothing, as some high passes leave it, makes rounding large in any order of computing.
    assume((plain - exact).abs().max() < 1e-5 * scale)
    torch.testing.assert_close(parts, plain, rtol=0, atol=2e-5 * scale)


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (37, 53), (64, 40)])
@pytest.mark.parametrize("pixels", [1, 100, None])
@torch.no_grad()
def test_every_network_in_parts_equals_the_plain_forward(network, size, pixels):  # noqa: F811
    a, b = sources(2, *size)
    kept = a.clone()
    plain = network(a, b)
    with in_strips(pixels):
        parts = network(a, b)
    torch.testing.assert_close(parts, plain, rtol=0, atol=2e-5)
    assert torch.equal(a, kept)


def test_gradients_are_not_in_strips():
    tita = TITA(**SMALL["TITA"]).eval()
    a, b = sources(1, 16, 24)
    expected = torch.autograd.grad(tita(a, b).sum(), list(tita.parameters()))
    with in_strips(64):
        torch.testing.assert_close(torch.autograd.grad(tita(a, b).sum(), list(tita.parameters())), expected)


@torch.no_grad()
def test_parts_are_as_small_as_asked_and_cover_the_map_once():
    x = torch.zeros(1, 24, 40, 1)
    seen = []

    def count(part, streams):
        seen.append((tuple(streams[0].shape[1:3]), part))
        return [streams[0] + 1]

    with in_strips(8 * 8 * 3):
        over_windows(count, [x], window=8, shift=4)
    assert torch.equal(x, torch.ones_like(x))
    assert max(height * width for (height, width), _ in seen) <= 8 * 8 * 3
    assert len(seen) == 6
    assert [part.bottom for _, part in seen] == [False] * 4 + [True] * 2
    assert [part.right for _, part in seen] == [False, True] * 3


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    window=st.sampled_from([4, 8]),
    shifted=st.booleans(),
    pixels=st.integers(1, 700),
)
@torch.no_grad()
def test_windows_that_are_mirrored_at_the_borders(size, window, shifted, pixels):
    height = size[0]
    shift = window // 2 if shifted else 0
    x = torch.rand(2, *size, 3)

    def means(_, streams):
        windows = streams[0].unflatten(1, (-1, window)).unflatten(3, (-1, window))
        return [windows.mean(dim=(2, 4), keepdim=True).expand_as(windows).flatten(3, 4).flatten(1, 2)]

    with in_strips(pixels):
        (parts,) = over_windows(means, [x], window, shift, overwrite=False, mirrored=True)
    (whole,) = over_windows(means, [x], window, shift, mirrored=True)
    assert parts.shape == whole.shape == x.shape
    torch.testing.assert_close(parts, whole)
    # The first window holds the first pixels and their mirror images.
    rows, columns = ([abs(place) for place in range(-shift, window - shift)] for _ in range(2))
    torch.testing.assert_close(whole[:, 0, 0], x[:, rows][:, :, columns].mean(dim=(1, 2)))
    last = [place if place < height else 2 * (height - 1) - place for place in range(-shift, height + window)]
    first = (height - 1 + shift) // window * window
    torch.testing.assert_close(whole[:, -1, 0], x[:, last[first : first + window]][:, :, columns].mean(dim=(1, 2)))


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 90), st.integers(1, 40), st.integers(0, 3), st.sampled_from(["zeros", "reflect"]))
@torch.no_grad()
def test_rows_with_a_halo(height, pixels, halo, padding):
    convolution = nn.Conv2d(2, 3, 2 * halo + 1, padding=halo, padding_mode=padding)
    x = torch.rand(2, 2, height, 7)
    with in_strips(pixels):
        actual = over_rows(convolution, [x], halo)
    torch.testing.assert_close(actual, convolution(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["TITA", "GIFNet"])
def test_whole_networks_compile_without_a_break_and_run_on_meta(name):
    """Also inside strips, which compiled code leaves alone, and without gradients, as in FAMO's second pass."""
    single = {"num_extraction_blocks": 1, "num_interaction_blocks": 2, "num_reconstruction_blocks": 1}
    arguments = {**SMALL[name], **(single if name == "TITA" else {})}
    with torch.device("meta"):
        meta = getattr(networks, name)(**arguments)
    a, b = sources(1, 16, 24)
    meta(a.to("meta"), b.to("meta")).sum().backward()
    network = getattr(networks, name)(**arguments).eval()  # noqa: F811
    with torch.no_grad(), in_strips(64):
        compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(a, b), network(a, b), rtol=0, atol=1e-6)
        assert meta.eval()(a.to("meta"), b.to("meta")).shape == a.shape
