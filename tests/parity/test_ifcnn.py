"""IFCNN against stored results of the official code: three joins, two and three sources, colour and grey."""

import cv2
import pytest
import torch

from fusion_lab.files import sha256
from fusion_lab.inference.official import OFFICIAL
from fusion_lab.inference.weights import load_network
from fusion_lab.networks import IFCNN
from fusion_lab.networks.checkpoints import from_official_ifcnn
from fusion_lab.public.weights import PUBLIC_WEIGHTS

pytestmark = pytest.mark.shared

JOINS = {"MAX": "maximum", "SUM": "sum", "MEAN": "mean"}
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "ifcnn"


@pytest.fixture(scope="module")
def cases(golden):
    return torch.load(golden / "cases.pt", weights_only=True)


@pytest.fixture(scope="module", params=JOINS)
def official(request, golden):
    state = torch.load(golden / f"IFCNN-{request.param}.pth", weights_only=True, map_location="cpu")
    assert OFFICIAL["ifcnn"].marks <= state.keys()
    network = IFCNN(JOINS[request.param])
    network.load_state_dict(from_official_ifcnn(state))
    return request.param, network.eval()


@pytest.mark.parametrize("count", [2, 3])
@torch.no_grad()
def test_any_number_of_sources(official, cases, count):
    kind, network = official
    case = cases[f"{kind}/random{count}"]
    torch.testing.assert_close(network.fuse_all(list(case["sources"])), case["fused"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("task", ["mff", "mef"])
@torch.no_grad()
def test_colour_tasks(official, cases, task):
    kind, network = official
    case = cases[f"{kind}/{task}"]
    a, b = ((case[name] / 255 - MEAN) / DEVIATION for name in ("a", "b"))
    fused = network(a, b) * DEVIATION + MEAN
    torch.testing.assert_close(fused, case["fused"], rtol=0, atol=1e-5)
    levels = (fused.clamp(0, 1) * 255).to(torch.uint8)
    assert (levels.int() - case["levels"].int()).abs().max() <= 1
    assert (levels != case["levels"]).float().mean() < 1e-3


@torch.no_grad()
def test_grey_tasks(official, cases):
    kind, network = official
    case = cases[f"{kind}/ivf"]
    colour = network(case["a"] / 255, case["b"] / 255)
    torch.testing.assert_close(colour, case["fused"], rtol=0, atol=1e-5)
    levels = (colour.clamp(0, 1) * 255).to(torch.uint8)
    assert (levels.int() - case["levels"].int()).abs().max() <= 1
    assert (levels != case["levels"]).float().mean() < 1e-3
    # Luminance goes in as three equal channels, and comes out by OpenCV's weights.
    grey = [case[name][:, 1:2] / 255 for name in ("a", "b")]
    repeated = network(*(one.expand(-1, 3, -1, -1) for one in grey))
    expected = cv2.cvtColor(repeated[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    torch.testing.assert_close(network(*grey)[0, 0], torch.from_numpy(expected), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", JOINS)
def test_the_file_name_tells_the_join(golden, kind):
    network = load_network(golden / f"IFCNN-{kind}.pth")
    assert isinstance(network, IFCNN)
    assert network.join == JOINS[kind]
    weights = PUBLIC_WEIGHTS[f"ifcnn-{kind.lower()}"]
    assert weights.sha256 == sha256(golden / f"IFCNN-{kind}.pth")
    assert weights.parameters == sum(parameter.numel() for parameter in network.parameters())
