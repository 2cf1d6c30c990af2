"""What enhanced training images are worth to a classifier (GIFNet, Table 3): ``python -m examples.cifar100``."""

import csv
import hashlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser
from jsonargparse.typing import NonNegativeInt, PositiveFloat, PositiveInt

from fusion_lab.cli.arguments import parse
from fusion_lab.cli.main import run
from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path, make_folder, write_text

if TYPE_CHECKING:
    from examples.cifar100.images import LabelledImages
    from fusion_lab.networks.base import FusionNetwork

HELP = "train a classifier on original and on enhanced images of CIFAR-100, and compare"
PROGRAM = "python -m examples.cifar100"
ORIGINAL = "original"
_ENHANCED_AT_ONCE = 100


@dataclass(frozen=True)
class Settings:
    """How each classifier is trained."""

    epochs: int
    batch_size: int
    lr: float
    augment: bool
    seed: int
    limit: int | None


@dataclass(frozen=True)
class Row:
    """The accuracies of a classifier on the original test images, in [0, 1]."""

    training_images: str
    top1: float
    top5: float


def main(argv: list[str]) -> int:
    """Run the command; returns the exit code."""
    args = parse(_parser(), argv)
    # A checkpoint holds plain numbers only.
    settings = Settings(
        int(args.epochs), int(args.batch_size), float(args.lr), args.augment, int(args.seed), args.limit
    )
    networks = _names(args.weights)

    # PyTorch takes seconds to load: mistakes in the arguments need not wait for it.
    from examples.cifar100.images import fetch_cifar100, read_cifar100
    from fusion_lab.inference.weights import load_network

    loaded = {name: load_network(file, args.device) for name, file in networks.items()}
    data = args.data or fetch_cifar100(Path("data/cifar-100"))
    train, test = (_first(read_cifar100(data, split), args.limit) for split in ("train", "test"))
    output = make_folder(args.output)
    _check_same(output, settings, loaded)
    rows = []
    for name in (ORIGINAL, *networks):
        result = output / name / "result.json"
        if not result.is_file():
            images = train if name == ORIGINAL else _enhanced(output / name, train, loaded[name])
            _train_and_test(output / name, images, test, settings, args.device)
        rows.append(Row(name, **json.loads(result.read_text(encoding="utf-8"))))
    _write(output, rows)
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog=PROGRAM,
        description=(
            f"{HELP.capitalize()}: ResNet-56 from scratch on the training images as they are and as each network "
            "enhances them, tested on the test images as they are. Started again, it goes on where it was."
        ),
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--weights", nargs="+", type=Path, required=True, metavar="FILE", help="networks that enhance; each is a row"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="folder of all results")
    parser.add_argument(
        "--data", type=Path | None, metavar="PATH", help="cifar-100-python.tar.gz, or its folder (downloaded otherwise)"
    )
    parser.add_argument("--epochs", type=PositiveInt, default=200, help="how often each image is seen")
    parser.add_argument("--batch-size", type=PositiveInt, default=128, help="images in a batch")
    parser.add_argument("--lr", type=PositiveFloat, default=0.1, help="first step of SGD")
    parser.add_argument("--augment", type=bool, default=True, help="shift and mirror the training images")
    parser.add_argument("--seed", type=NonNegativeInt, default=0, help="seed of everything")
    parser.add_argument("--limit", type=PositiveInt | None, help="use only so many images of each split, to try it out")
    parser.add_argument("--device", default="cpu", metavar="DEVICE", help="cpu or cuda")
    return parser


def _names(networks: list[Path]) -> dict[str, Path]:
    """Name each network by its file, or by the end of its class path."""
    names = [path.stem if path.is_file() else path.name.rpartition(".")[2] for path in networks]
    if ORIGINAL in names or len(set(names)) < len(names):
        raise FusionLabError(
            f"The files of --weights ({', '.join(names)}) name the rows of the table: give each a name of its own, "
            f"other than '{ORIGINAL}'."
        )
    return dict(zip(names, networks, strict=True))


def _sum(network: "FusionNetwork") -> str:
    """Tell a network from any other."""
    digest = hashlib.sha256(json.dumps(network.description).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _check_same(output: Path, settings: Settings, networks: "dict[str, FusionNetwork]") -> None:
    """Refuse to mix results of different settings, or of different networks of one name, in one table."""
    file = output / "settings.json"
    sums = {f"network {name}": _sum(network) for name, network in networks.items()}
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    now = {**before, **asdict(settings), **sums}
    if differing := [name for name, value in before.items() if now[name] != value]:
        raise FusionLabError(
            f"The results in {output} were made with other settings ({', '.join(differing)}): repeat them, or choose "
            "another output."
        )
    write_text(file, json.dumps(now, indent=1) + "\n")


def _first(labelled: "LabelledImages", limit: int | None) -> "LabelledImages":
    return type(labelled)(labelled.images[:limit], labelled.labels[:limit])


def _enhanced(folder: Path, train: "LabelledImages", network: "FusionNetwork") -> "LabelledImages":
    """Enhance the training images, or read them where that was done before."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from examples.cifar100.enhancement import enhance_batch

    file = folder / "enhanced.npy"
    if not file.is_file():
        places = range(0, len(train.images), _ENHANCED_AT_ONCE)
        batches = [
            enhance_batch(network, train.images[first : first + _ENHANCED_AT_ONCE])
            for first in track(places, f"Enhancing with {folder.name}", console=Console(stderr=True))
        ]
        with atomic_path(file) as temporary:
            np.save(temporary, np.concatenate(batches))
    return type(train)(np.load(file), train.labels)


def _train_and_test(
    folder: Path, train: "LabelledImages", test: "LabelledImages", settings: Settings, device: str
) -> None:
    """Train a classifier, going on from its last checkpoint, and write its accuracies to ``result.json``."""
    import torch
    from lightning import Trainer, seed_everything
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    from examples.cifar100.classifier import ClassifierModule
    from examples.cifar100.images import CLASSES
    from examples.cifar100.resnet import ResNet
    from fusion_lab.callbacks import RepeatableNoise

    def samples(labelled: "LabelledImages") -> TensorDataset:
        images = torch.from_numpy(labelled.images).permute(0, 3, 1, 2).contiguous()
        return TensorDataset(images, torch.from_numpy(labelled.labels))

    kind, _, number = device.partition(":")
    print(f"Training ResNet-56 on {len(train.images)} images ({folder.name}) for {settings.epochs} epochs", flush=True)
    seed_everything(settings.seed, verbose=False)
    module = ClassifierModule(ResNet(CLASSES), CLASSES, settings.lr, settings.augment)
    dataset = samples(train)
    # The order of an epoch follows from the seed and its number alone, so that a resumed run sees the same.
    sampler: DistributedSampler[tuple[torch.Tensor, ...]] = DistributedSampler(dataset, 1, 0, seed=settings.seed)
    trainer = Trainer(
        default_root_dir=folder,
        max_epochs=settings.epochs,
        accelerator=kind,
        devices=[int(number)] if number else 1,
        use_distributed_sampler=False,
        logger=CSVLogger(folder, name="log"),
        callbacks=[
            RepeatableNoise(settings.seed),
            ModelCheckpoint(folder, filename="last", enable_version_counter=False),
        ],
        enable_model_summary=False,
        deterministic="warn",
    )
    last = folder / "last.ckpt"
    trainer.fit(
        module,
        DataLoader(dataset, settings.batch_size, sampler=sampler),
        ckpt_path=last if last.is_file() else None,
        weights_only=True,
    )
    [scores] = trainer.test(module, DataLoader(samples(test), settings.batch_size), verbose=False)
    write_text(folder / "result.json", json.dumps(scores, indent=1) + "\n")


def _write(output: Path, rows: list[Row]) -> None:
    """Print the table, and write it as ``table.csv``."""
    from rich.console import Console
    from rich.table import Table

    table = Table("training images", "top-1", "top-5", title="ResNet-56 on the test images of CIFAR-100")
    for row in rows:
        table.add_row(row.training_images, f"{row.top1:.2%}", f"{row.top5:.2%}")
    Console().print(table)
    with atomic_path(output / "table.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["training_images", "top1", "top5"])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    print(f"Written to {output / 'table.csv'}.")


if __name__ == "__main__":
    sys.exit(run(PROGRAM, main, sys.argv[1:]))
