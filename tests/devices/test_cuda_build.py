"""Whole modules moved to CUDA, on fake tensors: for a build with CUDA, a GPU is not needed.

Up to the losses and what FAMO learns from them. PyTorch's backward pass asks for a real device: test_meta.py has it.
"""

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


@pytest.fixture(autouse=True)
def nothing_fake_is_kept():
    clear_caches()
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    # Parameters with numbers cannot become fake ones in place.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    yield
    torch.__future__.set_overwrite_module_params_on_conversion(before)
    clear_caches()


def batch(tasks, target):
    names = ("source_a", "source_b", *(["target"] if target else []))
    return {task: {name: torch.rand(2, 1, 32, 32, device="cuda") for name in names} for task in tasks}


@pytest.mark.parametrize("precision", [None, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["tita", "gifnet", "joint pass"])
def test_losses_and_weights(kind, precision):
    if kind == "gifnet":
        module = gifnet_module()
    else:
        module = TITAModule(TITA(**SMALL["TITA"]), weighting=FAMO(), joint_pass=kind == "joint pass")
    tasks = ["ivf", "mff"] if kind == "gifnet" else ["ivf", "mff", "mef"]
    module.weighting.setup(tasks)
    with FakeTensorMode(allow_non_fake_inputs=True), Answers():
        module.to("cuda").train()
        with torch.autocast("cuda", precision, enabled=precision is not None):
            losses = module.task_losses(batch(tasks, kind == "gifnet"))
            assert module.weighting(losses).is_cuda
        detached = {task: loss.detach() for task, loss in losses.items()}
        module.weighting.update(detached, detached)
        assert {loss.device.type for loss in losses.values()} == {"cuda"}
        assert {buffer.device.type for buffer in module.weighting.buffers()} <= {"cuda"}
