"""How much either source has to tell."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.errors import FusionLabError
from fusion_lab.losses import InformationError
from fusion_lab.losses.information import DenseNetInformation, FixedInformation, GradientInformation, densenet
from fusion_lab.losses.information.base import squared_response
from fusion_lab.losses.information.densenet121 import DenseNet121, rename_official
from tests.tiny import torchvision_densenet


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Weights as torchvision stores them, but random."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "densenet121.pth"
    torch.save(torchvision_densenet(old=True), path)
    return path


def images(count, size=32, seed=0):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def test_densenet121_has_the_size_of_the_published_one():
    network = DenseNet121()
    # Its 7,978,856 parameters less the last normalisation and the classifier of 1,000 classes.
    assert sum(parameter.numel() for parameter in network.parameters()) == 7_978_856 - 2 * 1024 - 1025 * 1000
    shapes = [tuple(level.shape) for level in network.eval()(torch.rand(1, 3, 64, 96))]
    assert shapes == [(1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6), (1, 512, 2, 3), (1, 1024, 2, 3)]


@pytest.mark.parametrize("old", [False, True])
def test_densenet121_takes_the_names_of_torchvision(old):
    torch.manual_seed(0)
    state = DenseNet121().state_dict()
    torch.manual_seed(0)
    renamed = rename_official(torchvision_densenet(old))
    assert renamed.keys() == state.keys()
    assert all(torch.equal(renamed[name], tensor) for name, tensor in state.items())


def test_response_is_that_of_explicit_neighbours():
    maps = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    total = torch.nn.functional.pad(maps.sum(dim=1, keepdim=True), (1, 1, 1, 1), mode="reflect")[:, 0]
    expected = torch.zeros(2, dtype=torch.float64)
    for row in range(1, 6):
        for column in range(1, 7):
            around = total[:, row - 1 : row + 2, column - 1 : column + 2].sum(dim=(1, 2)) - total[:, row, column]
            expected += (around / 8 - total[:, row, column]) ** 2 / 30
    torch.testing.assert_close(squared_response(maps), expected)


@pytest.mark.parametrize("shape", [(1, 2, 1, 1), (1, 2, 1, 7)])
def test_response_of_a_single_row(shape):
    assert squared_response(torch.rand(shape)).isfinite().all()
    assert squared_response(torch.ones(shape)).item() == pytest.approx(0)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), scale=st.floats(0, 1e4))
def test_weights_are_shares_and_swap_with_the_sources(seed, scale):
    measure = GradientInformation(scale)
    a, b = images(2, seed=seed), images(2, seed=seed + 1) / 2
    weight_a, weight_b = measure(a, b)
    assert weight_a + weight_b == pytest.approx(1)
    # Half the contrast tells less.
    assert weight_a >= weight_b
    assert [w.item() for w in measure(b, a)] == [weight_b.item(), weight_a.item()]


def test_fixed_weights():
    assert [w.item() for w in FixedInformation(0.25)(images(1), images(1))] == [0.25, 0.75]
    with pytest.raises(FusionLabError, match="`share` should be in"):
        FixedInformation(1.5)


def test_error_weighs_both_sources():
    a, b, fused = images(3).unsqueeze(1)
    loss = InformationError(FixedInformation(0.25))(fused, {"source_a": a, "source_b": b})
    expected = 0.25 * (fused - a).square().mean() + 0.75 * (fused - b).square().mean()
    torch.testing.assert_close(loss, expected)


def test_an_image_is_measured_once(file, monkeypatch):
    seen = []
    measure = densenet._measure
    monkeypatch.setattr(densenet, "_measure", lambda network, new: seen.append(len(new)) or measure(network, new))
    information = DenseNetInformation(file)
    three = images(3)
    first = information.measure(three)
    assert torch.equal(information.measure(three.flip(0)), first.flip(0))
    information.measure(torch.cat([three[:1], images(1, seed=9)]))
    assert seen == [3, 1]
    torch.testing.assert_close(first, measure(densenet._load(str(file), "cpu"), three))


def test_only_so_many_images_are_remembered(file):
    information = DenseNetInformation(file, remembered=2)
    assert len(information.measure(images(3))) == 3
    assert len(information._known) == 2


def test_densenet_is_no_part_of_the_loss(file):
    loss = InformationError(DenseNetInformation(file))
    loss.prepare()
    loss(images(1), {"source_a": images(1), "source_b": images(1, seed=1)})
    assert not loss.state_dict()
    assert not list(loss.parameters())


def test_too_small_images_are_told(file):
    with pytest.raises(FusionLabError, match="32 pixels or more a side, but was given 16x16"):
        DenseNetInformation(file).measure(images(1, size=16))


@pytest.mark.parametrize("content", ["missing", "empty", "text", "other"])
def test_unusable_weights_are_told(tmp_path, content):
    path = tmp_path / "weights.pth"
    if content == "empty":
        path.touch()
    if content == "text":
        path.write_text("no weights")
    if content == "other":
        torch.save({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(FusionLabError, match=r"cannot be read from .*weights\.pth .* choose GradientInformation"):
        DenseNetInformation(path).prepare()


def test_a_failed_download_is_told(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fail)
    densenet._load.cache_clear()
    with pytest.raises(FusionLabError, match=r"cannot be downloaded \(no route to host\): download https://download"):
        DenseNetInformation().prepare()
