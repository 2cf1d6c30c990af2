"""Damaged files of every kind: each works, or gives one sentence.

``FUSION_LAB_FUZZ=1000`` tries so many instead of a few. The number of a case decides all of it.
"""

import json
import os
import pickle

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

import fusion_lab
from fusion_lab.data.images import Picture, read_picture, write_picture
from fusion_lab.data.rasters import read_raster
from fusion_lab.networks import TITA, Maximum
from fusion_lab.runs.compose import compose
from tests.fuzz.mutations import BYTES, choose, spoil_lines, spoil_tree, whole
from tests.fuzz.pictures import pictures, spoil_picture
from tests.tiny import NETWORK

COUNT = int(os.environ.get("FUSION_LAB_FUZZ", "40"))
# The quick ones more often.
KINDS = ("picture", "configuration", "picture", "weights", "picture", "weights", "picture", "checkpoint")
# Nothing is trained, and nothing starts processes or looks for a device, whatever a configuration says.
HARMLESS = (
    "--trainer.max_steps=0", "--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.num_nodes=1",
    "--trainer.strategy=auto", "--data.init_args.num_workers=0",
)  # fmt: skip

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore"),
]


def cases(kind):
    return [number for number in range(COUNT) if KINDS[number % len(KINDS)] == kind]


@pytest.fixture
def random(request):
    return np.random.default_rng(request.node.callspec.params["number"])


def is_there(path):
    """Tell whether an output was written; if so, it is whole."""
    if path.exists():
        read_raster(path)
    return path.exists()


@pytest.mark.parametrize("number", cases("picture"))
def test_pictures(number, random, command, sentence, tmp_path):
    original, content = choose(random, pictures(random))
    suffix, content, told = spoil_picture(original, content, random)
    print(told)
    for role in "ab":
        (tmp_path / role).mkdir()
    bad = tmp_path / "a" / f"one.{suffix}"
    bad.write_bytes(content)
    picture = sentence(read_picture, bad)
    size = picture.size if picture and max(picture.size) < 4000 else (24, 20)
    good = tmp_path / "b" / "one.png"
    write_picture(Picture(random.integers(0, 256, size, np.uint8)), good)
    out = tmp_path / f"out.{choose(random, ['png', 'tif', 'jpg'])}"
    bands = choose(random, [(), (), ("--bands",)]) if out.suffix == ".tif" else ()
    both = choose(random, [(bad, good), (good, bad)])
    code = command("fuse", *both, "-o", out, "--weights", "fusion_lab.networks.Maximum", *bands)
    assert is_there(out) == (code == 0)
    sentence(fusion_lab.fuse, *both, Maximum())
    sentence(lambda: list(fusion_lab.load_pairs(tmp_path / "a", tmp_path / "b")))
    folders = ["--a", tmp_path / "a", "--b", tmp_path / "b", "--fused", tmp_path / choose(random, "ab")]
    code = command("evaluate", *folders, "-o", tmp_path / "scores.csv", "--metrics", "EN", "SD")
    assert (tmp_path / "scores.csv").exists() == (code == 0)


@pytest.mark.parametrize("number", cases("configuration"))
def test_configurations(number, random, command, run, tmp_path):
    file = tmp_path / "own.yaml"
    (tmp_path / "other.yaml").write_text("_base_: own.yaml")
    config = compose([run / "tiny.yaml"])
    if random.random() < 0.5:
        print(*(spoil_tree(config, random) for _ in range(int(random.integers(1, 3)))), sep="\n")
        file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=bool(random.integers(2))))
    else:
        content, told = spoil_lines(yaml.safe_dump(config, sort_keys=False), random)
        print(told)
        file.write_bytes(content)
    command("fit", "--config", file, f"--exp.output={tmp_path / 'runs'}", *HARMLESS)


@pytest.fixture(scope="session")
def official(tmp_path_factory):
    """A checkpoint of TITA with random weights, as its release stores it but for the names."""
    path = tmp_path_factory.mktemp("official") / "tita.pth"
    names = {
        "conv_first1_A.weight": (30, 1, 3, 3), "fafb_A.channel_compressor.weight": (60, 60, 1, 1),
        "conv_first1_B.weight": (30, 1, 3, 3), "norm_Re.weight": (60,),
    }  # fmt: skip
    torch.save({"params": {name: torch.rand(shape) for name, shape in names.items()}}, path)
    return path


@pytest.mark.parametrize("number", cases("weights"))
def test_weights(number, random, command, sentence, official, tmp_path):
    file = tmp_path / choose(random, ["one.safetensors", "one.pth", "one.ckpt", "one"])
    kind = choose(random, ["safetensors", "safetensors", "official"])
    if kind == "official":
        content = torch.load(official, weights_only=True)
        if random.random() < 0.5:
            print(spoil_tree(content, random))
        torch.save(content, file)
    else:
        network = TITA(**NETWORK)
        description, tensors = network.description, network.state_dict()
        if random.random() < 0.5:
            print(spoil_tree(description, random))
        name = choose(random, tensors)
        tensor = tensors[name]
        tensors[name] = choose(random, [tensor, tensor, tensor * float("nan"), tensor.half(), torch.ones(3)])
        told = choose(random, [yaml.safe_dump, json.dumps, json.dumps])(description)
        save_file({key: tensor.clone().contiguous() for key, tensor in tensors.items()}, file, {"network": told})
    change = choose(random, [*BYTES, whole, whole, whole, whole])
    print(kind, change.__name__)
    file.write_bytes(change(file.read_bytes(), random))
    _try_weights(file, random, command, sentence, tmp_path)


def _try_weights(file, random, command, sentence, folder):
    """Give a file to all that take weights."""
    network = sentence(fusion_lab.load_network, file)
    assert (command("weights", "info", file) == 0) == (network is not None)
    new = folder / "new.safetensors"
    code = command("weights", "convert", file, "-o", new)
    assert new.exists() == (code == 0)
    if code == 0:
        assert load_file(new)
    image, out = folder / "image.png", folder / "fused.png"
    write_picture(Picture(random.integers(0, 256, (16, 16), np.uint8)), image)
    code = command("fuse", image, image, "-o", out, "--weights", file)
    assert is_there(out) == (code == 0)


@pytest.mark.parametrize("number", cases("checkpoint"))
def test_checkpoints(number, random, command, sentence, run, tmp_path):
    file = tmp_path / "one.ckpt"
    content = torch.load(run / "runs" / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)
    if random.random() < 0.7:
        # What lies deeper is between PyTorch and Lightning, who find out while they train.
        own = [content["network"], content["state_dict"], content["MultiTaskDataModule"]]
        inner = choose(random, [content, *own])
        print(spoil_tree(inner, random, deep=inner is not content))
        try:
            torch.save(content, file)
        except (pickle.PicklingError, UnicodeError, OverflowError):
            pytest.skip("no file can hold this")
        change = whole
    else:
        torch.save(content, file)
        change = choose(random, BYTES)
        print(change.__name__)
    file.write_bytes(change(file.read_bytes(), random))
    if random.random() < 0.5:
        _try_weights(file, random, command, sentence, tmp_path)
    else:
        steps = int(random.integers(1, 3))
        arguments = ("--ckpt_path", file, f"--exp.output={tmp_path / 'runs'}", f"--trainer.max_steps={steps}")
        command("fit", "--config", run / "tiny.yaml", *arguments)
