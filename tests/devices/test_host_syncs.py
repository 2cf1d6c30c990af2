"""How often a training step lets the host wait for the device."""

import pytest
import torch

from fusion_lab.callbacks import AlternatingFreeze, MeasureAgain, MovingAverage, RepeatableNoise, StopBetweenBatches
from fusion_lab.losses import EdgePreservation, ExposureStructure, InformationError, VisualInformation
from fusion_lab.losses.information import GradientInformation
from fusion_lab.modules import GIFNetModule, TITAModule
from fusion_lab.modules.tita import tita_objectives
from fusion_lab.networks import TITA, GIFNet
from fusion_lab.weighting import FAMO
from tests.devices.meta_device import syncs_of_a_step

MOST = 3
"""The losses are looked at before the step, and by FAMO before and after it."""


def sample(side, target=False):
    images = {name: torch.rand(2, 1, side, side) for name in ("source_a", "source_b", *(["target"] if target else []))}
    return {**images, "name": ["x", "y"], "file_a": ["x", "y"], "file_b": ["x", "y"]}


def callbacks(folder):
    return [RepeatableNoise(), MeasureAgain(), MovingAverage(), StopBetweenBatches(folder)]


@pytest.mark.parametrize("joint_pass", [False, True])
@pytest.mark.parametrize("scores", [False, True])
def test_a_step_of_tita_with_famo(tmp_path, monkeypatch, joint_pass, scores):
    network = TITA(16, 2, num_extraction_blocks=2, num_interaction_blocks=2, num_reconstruction_blocks=2)
    objectives = tita_objectives()
    if scores:
        for terms in objectives.values():
            terms |= {"edges": EdgePreservation(), "information": VisualInformation(), "exposure": ExposureStructure()}
    module = TITAModule(network, objectives, FAMO(), joint_pass=joint_pass)
    batch = {task: sample(48 if scores else 16) for task in ("ivf", "mff", "mef")}
    found = syncs_of_a_step(monkeypatch, tmp_path, module, batch, callbacks(tmp_path))
    assert 0 < found.total() <= MOST, found


def test_a_step_of_gifnet_in_phases(tmp_path, monkeypatch):
    module = GIFNetModule(GIFNet(), objectives={"ivf": {"x": InformationError(GradientInformation())}, "mff": {}})
    batch = {"ivf": sample(32), "mff": sample(32, target=True)}
    phases = {"multi_modal": ["digital_photography"], "digital_photography": ["multi_modal"]}
    found = syncs_of_a_step(
        monkeypatch, tmp_path, module, batch, [*callbacks(tmp_path), AlternatingFreeze(phases=phases)]
    )
    assert 0 < found.total() <= MOST, found


def test_the_average_is_where_the_module_is(tmp_path, monkeypatch):
    average = MovingAverage()
    module = TITAModule(TITA(16, 2, num_extraction_blocks=2, num_interaction_blocks=2, num_reconstruction_blocks=2))
    places = []

    class Look(RepeatableNoise):
        def on_train_batch_end(self, *args):
            places.append({parameter.device.type for parameter in average._average_model.module.parameters()})

    syncs_of_a_step(monkeypatch, tmp_path, module, {"ivf": sample(16)}, [average, Look()])
    assert places == [{"meta"}] * 4
