"""A training that takes a second: small images, a small network."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import torch
import yaml
from lightning import Callback, Trainer
from PIL import Image

from fusion_lab.data import Augmentation, MultiTaskDataModule, PairDataset
from fusion_lab.losses import InformationError, SquaredError
from fusion_lab.losses.information import GradientInformation
from fusion_lab.losses.information.densenet121 import DenseNet121
from fusion_lab.modules import GIFNetModule, TITAModule
from fusion_lab.networks import TITA, GIFNet

REPOSITORY = Path(__file__).parents[1]
TASKS = ("ivf", "mff", "mef")
NETWORK = {
    "embed_dim": 12,
    "num_heads": 2,
    "num_extraction_blocks": 1,
    "num_interaction_blocks": 2,
    "num_reconstruction_blocks": 1,
}
PATCH = 16


def make_pairs(root: Path, **counts: int) -> Path:
    """Write so many pairs of each task, 20 to 24 pixels wide, as ``ROOT/TASK/{a,b}/TASK0.png``."""
    generator = np.random.default_rng(0)
    for task, count in counts.items():
        for number in range(count):
            for role in ("a", "b"):
                path = root / task / role / f"{task}{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (18, 20 + number), np.uint8)).save(path)
    return root


def pairs(root: Path, tasks=TASKS):
    return {task: [PairDataset(root / task)] for task in tasks}


def data(train: Path, val: Path | None = None, **arguments) -> MultiTaskDataModule:
    splits = {"train": pairs(train), **({"val": pairs(val)} if val else {})}
    return MultiTaskDataModule(**{**splits, "batch_size": 1, "augmentation": Augmentation(PATCH), **arguments})


def module(weighting=None, drop_path=0.0, **arguments) -> TITAModule:
    return TITAModule(TITA(**NETWORK, drop_path=drop_path), weighting=weighting, **arguments)


def sharp_data(root: Path, val: bool = False, **arguments) -> MultiTaskDataModule:
    """Pairs of IVF, and of MFF with the first source as the ideal image."""
    splits = {"ivf": [PairDataset(root / "ivf")], "mff": [PairDataset(root / "mff", target="a")]}
    given = {"train": splits, "val": splits if val else None, "batch_size": 1, "augmentation": Augmentation(PATCH)}
    return MultiTaskDataModule(**{**given, **arguments})


def gifnet_module(network: GIFNet | None = None, **arguments) -> GIFNetModule:
    """A narrow GIFNet whose losses need no download."""
    objectives = {
        "ivf": {"information": InformationError(GradientInformation(10))},
        **{task: {"error": SquaredError()} for task in ("mff", "mef")},
    }
    return GIFNetModule(network or GIFNet(width=4), **{"objectives": objectives, **arguments})


def trainer(folder: Path, **arguments) -> Trainer:
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "accelerator": "cpu",
        "devices": 1,
    }
    return Trainer(default_root_dir=folder, **{**quiet, **arguments})


class Names(Callback):
    """Remember the names of the pairs in each training batch, and the pixels themselves as a number."""

    def __init__(self) -> None:
        self.seen: list[tuple] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.seen.append(tuple((*sample["name"], sample["source_a"].sum().item()) for sample in batch.values()))


def overlay(folder: Path, train: Path, val: Path, **top) -> Path:
    """Write an experiment on tiny pairs over TITA's."""

    def split(root: Path):
        return {
            task: [{"class_path": "fusion_lab.data.PairDataset", "init_args": {"root": str(root / task)}}]
            for task in TASKS
        }

    config = {
        "_base_": str(REPOSITORY / "experiments" / "tita" / "embedded.yaml"),
        "exp": {"name": "tiny", "output": str(folder / "runs")},
        "model": {
            "init_args": {
                "network": {"class_path": "fusion_lab.networks.TITA", "init_args": NETWORK},
                "weighting": {"class_path": "fusion_lab.weighting.FAMO"},
                "optimizer": {"init_args": {"lr": 1e-3}},
                "metrics": [{"class_path": "fusion_lab.metrics.Entropy"}],
            }
        },
        "data": {
            "init_args": {
                "train": split(train),
                "val": split(val),
                "test": split(val),
                "predict": split(val),
                "batch_size": 1,
                "augmentation": {"class_path": "fusion_lab.data.Augmentation", "init_args": {"patch": PATCH}},
            }
        },
        "trainer": {"accelerator": "cpu", "max_steps": 3, "log_every_n_steps": 1, "enable_progress_bar": False},
    }
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**config, **top}, sort_keys=False))
    return path


def make_cifar100(archive: Path, train: int, test: int) -> Path:
    """Write an archive laid out as CIFAR-100's, with so many random images."""
    generator = np.random.default_rng(0)
    with tarfile.open(archive, "w:gz") as files:
        for split, count in (("train", train), ("test", test)):
            table = {
                b"data": generator.integers(0, 256, (count, 3072), np.uint8),
                b"fine_labels": generator.integers(0, 100, count).tolist(),
            }
            content = pickle.dumps(table, protocol=2)
            member = tarfile.TarInfo(f"cifar-100-python/{split}")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return archive


def torchvision_densenet(old: bool = False) -> dict[str, torch.Tensor]:
    """Random weights of DenseNet121, named as torchvision does, or as it did before 2018."""
    named = {"classifier.weight": torch.zeros(2, 1024), "features.norm5.weight": torch.ones(1024)}
    for name, tensor in DenseNet121().state_dict().items():
        kind, first, *rest = name.split(".")
        if kind == "stem":
            name = f"features.{('conv0', 'norm0')[int(first)]}.{rest[0]}"
        elif kind == "transitions":
            name = f"features.transition{int(first) + 1}.{'norm' if rest[0] == '0' else 'conv'}.{rest[1]}"
        else:
            layer = f"{rest[1][:-1]}.{rest[1][-1]}" if old else rest[1]
            name = f"features.denseblock{int(first) + 1}.denselayer{int(rest[0]) + 1}.{layer}.{rest[2]}"
        named[name] = tensor
    return named
