"""Whole modules moved to CUDA, forward and backward, on fake tensors: for a build with CUDA, a GPU is not needed."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from fusion_lab.modules import TITAModule
from fusion_lab.networks import TITA
from fusion_lab.weighting import FAMO
from tests.devices.fake_cuda import Answers, clear_caches
from tests.networks.test_contracts import SMALL
from tests.tiny import gifnet_module

pytestmark = pytest.mark.skipif(torch.version.cuda is None, reason="this build of PyTorch has no CUDA")


@pytest.fixture
def fake():
    clear_caches()
    with FakeTensorMode(), Answers():
        yield
    clear_caches()


def batch(tasks, target):
    names = ("source_a", "source_b", *(["target"] if target else []))
    return {task: {name: torch.rand(2, 1, 32, 32, device="cuda") for name in names} for task in tasks}


@pytest.mark.parametrize("precision", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["tita", "gifnet", "joint pass"])
def test_a_step(fake, kind, precision):
    if kind == "gifnet":
        module = gifnet_module()
    else:
        module = TITAModule(TITA(**SMALL["TITA"]), weighting=FAMO(), joint_pass=kind == "joint pass")
    tasks = ["ivf", "mff"] if kind == "gifnet" else ["ivf", "mff", "mef"]
    module.weighting.setup(tasks)
    module.to("cuda").train()
    with torch.autocast("cuda", precision, enabled=precision is not None):
        losses = module.task_losses(batch(tasks, kind == "gifnet"))
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    found = {parameter.grad.device.type for parameter in module.network.parameters() if parameter.grad is not None}
    assert found == {"cuda"}
    torch.optim.Adam(module.network.parameters(), fused=True).step()
