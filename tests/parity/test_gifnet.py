"""GIFNet against stored results of the official code with its released weights."""

import json
from math import prod

import numpy as np
import pytest
import torch

from fusion_lab.inference.weights import convert, load_network

pytestmark = pytest.mark.shared

TASKS = ("ivif", "mfif", "meif", "medical", "nirvis", "remote_b1", "remote_b2", "remote_b3", "remote_b4")
PHASES = {"tag1": "multi_modal", "tag2": "digital_photography"}
IMAGE = 2e-6
# Features reach values of some ten, which the stored float32 keeps to a few 1e-5.
FEATURE = 5e-5


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "gifnet"


@pytest.fixture(scope="module")
def network(golden):
    return load_network(golden / "Final.model").double()


def image(array):
    """A stored uint8 luminance as ``(1, 1, H, W)`` in [0, 1]."""
    return torch.from_numpy(array)[None, None].double() / 255


def close(ours, stored, tolerance=FEATURE):
    stored = torch.from_numpy(stored).double()
    torch.testing.assert_close(ours.reshape(-1, *ours.shape[-2:])[: len(stored)], stored, atol=tolerance, rtol=0)


@pytest.mark.parametrize("task", TASKS)
def test_fused_image_of_every_task(golden, task):
    """In float32, as users fuse."""
    network = load_network(golden / "Final.model")
    stored = np.load(golden / f"{task}.npz")
    fused = network(image(stored["vis_y"]).float(), image(stored["ir_y"]).float())
    close(fused.double(), stored["fused"][None], 1e-5)


@pytest.mark.parametrize("name", ["ivif_vis", "mfif_near", "nirvis_vis_32"])
def test_one_image_twice(golden, network, name):
    stored = np.load(golden / "enhance_XX.npz")
    source = image(stored[f"{name}_in"])
    close(network(source, source), stored[f"{name}_out"][None], IMAGE)


def record(modules):
    outputs = {}
    for name, module in modules.items():
        module.register_forward_hook(
            lambda module, inputs, output, name=name: outputs.update(
                {name: output[0] if isinstance(output, tuple) else output}
            )
        )
    return outputs


@pytest.mark.parametrize("phase", PHASES)
def test_every_stage_in_both_phases(golden, phase):
    network = load_network(golden / "Final.model").double()
    stored = np.load(golden / "stages_45x50.npz")
    outputs = record(
        {
            "embed_ivif": network.multi_modal.embedding,
            "embed_mfif": network.digital_photography.embedding,
            **{f"block{i}_ivif": block for i, block in enumerate(network.multi_modal.blocks)},
            **{f"block{i}_mfif": block for i, block in enumerate(network.digital_photography.blocks)},
            "gate": network.gate,
        }
    )
    features = network.encoder(image(stored["vis_y"]), image(stored["ir_y"]))
    close(features, stored["enc"])
    close(network.reconstruct(features), stored["rec"], IMAGE)
    close(network.interact(features, features, PHASES[phase]), stored[f"{phase}_branch"])
    close(network.fuse(features, features, PHASES[phase]), stored[f"{phase}_fused"], IMAGE)
    names = [name for name in outputs if f"{phase}_{name}" in stored]
    # The release also runs the second block of the auxiliary branch, whose result nothing uses.
    assert len(names) == (5 if phase == "tag2" else 3)
    for name in names:
        close(outputs[name], stored[f"{phase}_{name}"])
    if phase == "tag2":
        close(outputs["gate"], stored["gate128"])


@pytest.mark.parametrize("phase", PHASES)
def test_two_pairs_as_in_training(golden, network, phase):
    stored = np.load(golden / "two_pairs_48x56.npz")
    multi_modal = network.encoder(image(stored["vis"]), image(stored["ir"]))
    photography = network.encoder(image(stored["far"]), image(stored["near"]))
    pairs = (multi_modal, photography) if phase == "tag1" else (photography, multi_modal)
    close(network.interact(*pairs, PHASES[phase]), stored[f"{phase}_branch24"])
    close(network.fuse(*pairs, PHASES[phase]), stored[f"{phase}_fused"][None], IMAGE)
    close(network.reconstruct(pairs[0]), stored[f"{phase}_rec"][None], IMAGE)


def test_bias_of_the_windows(golden, network):
    stored = np.load(golden / "window_bias.npz")
    close(network.offset_bias[0].offsets.movedim(-1, 0), np.moveaxis(stored["relative_positions"], -1, 0))
    for i, bias in enumerate(network.offset_bias):
        close(bias(), stored[f"bias_block{i}"])


def test_every_tensor_of_the_release_is_used_or_known_to_be_of_no_use(golden, tmp_path):
    report = convert(golden / "Final.model", tmp_path / "gifnet.safetensors")
    assert report.kind == "official GIFNet checkpoint"
    assert not report.missing
    assert not report.unexpected
    assert len(report.dropped) == 4
    shapes = {name: told["shape"] for name, told in json.loads((golden / "state_dict.json").read_text()).items()}
    assert {*report.used, *report.dropped} == set(shapes)
    again = load_network(tmp_path / "gifnet.safetensors")
    assert sum(p.numel() for p in again.parameters()) == sum(prod(shapes[name]) for name in report.used)
