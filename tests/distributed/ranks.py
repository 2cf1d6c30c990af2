"""A training for `test_two_processes`, run as a script: ``ranks.py FOLDER RANKS``."""

import sys
from functools import partial
from pathlib import Path

import torch
from lightning import Callback, seed_everything
from lightning.pytorch.loggers import CSVLogger
from torchjd.aggregation import PCGrad

sys.path.insert(0, str(Path(__file__).parents[2]))

from fusion_lab.callbacks import (
    Checkpoints,
    GradientConflict,
    MeasureAgain,
    MovingAverage,
    OperationWeights,
    RepeatableNoise,
)
from fusion_lab.losses import Intensity, Structure, Texture
from fusion_lab.metrics import Entropy
from fusion_lab.weighting import FAMO, Aggregation
from tests.tiny import Names, data, module, trainer


class Poisoned(Intensity):
    """A loss that one pair makes undefined."""

    def forward(self, fused, sample):
        bad = any(name.endswith("mef3") for name in sample["name"])
        return super().forward(fused, sample) * (torch.nan if bad else 1)


class Moved(Callback):
    """Remember after which batches the network is another one."""

    def __init__(self) -> None:
        self.batches: list[bool] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.before = [parameter.clone() for parameter in pl_module.network.parameters()]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        now = pl_module.network.parameters()
        self.batches.append(any(not torch.equal(a, b) for a, b in zip(self.before, now, strict=True)))


def skipping(folder: Path, ranks: int, accumulated: int) -> dict:
    """Train with losses that are sometimes undefined, and leave those batches out."""
    torch.manual_seed(1)
    objectives = {task: {"intensity": Intensity("mean", 20)} for task in ("ivf", "mff")}
    objectives["mef"] = {"intensity": Poisoned("mean", 20)}
    trained = module(FAMO(), objectives=objectives, optimizer=partial(torch.optim.Adam, lr=1e-3), skip_bad_losses=True)
    moved = Moved()
    fit = trainer(
        folder / f"{ranks}",
        max_steps=6,
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        precision="64-true",
        accumulate_grad_batches=accumulated,
        callbacks=[MeasureAgain(), moved],
    )
    fit.fit(trained, data(folder / "train", batch_size=2 // ranks))
    return {"moved": moved.batches, "state": {name: value.clone() for name, value in trained.state_dict().items()}}


class Statistics(Callback):
    """Remember the running statistics of the first validation, during which those of the ranks are the same."""

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.mean = pl_module.network.head[0].running_mean.clone()


def normalised(folder: Path, ranks: int) -> dict:
    """Train a network with batch normalisation, and validate it where one rank has more pairs than the other."""
    torch.manual_seed(1)
    trained = module(optimizer=partial(torch.optim.Adam, lr=1e-3))
    trained.network.head.insert(0, torch.nn.BatchNorm2d(trained.network.head[0].in_channels))
    statistics = Statistics()
    fit = trainer(
        folder / f"{ranks}",
        max_steps=3,
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        callbacks=[statistics],
    )
    fit.fit(trained, data(folder / "train", folder / "val", batch_size=2 // ranks))
    return {"mean": statistics.mean, "loss": fit.callback_metrics["val/loss"].item()}


class SameNoise(Callback):
    """PCGrad draws an order at every step, on the first rank for all."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        torch.manual_seed(trainer.global_step)


def main(folder: Path, ranks: int) -> None:
    """Train, and save what each rank saw, learnt and logged."""
    seed_everything(0)
    # Losses that are means over the samples; the shares of Structure("gradient") belong to the batch of one process.
    objectives = {
        "ivf": {"texture": Texture(20), "intensity": Intensity("maximum", 20), "structure": Structure("equal", 10)},
        "mff": {"texture": Texture(20), "intensity": Intensity("mean", 20)},
        "mef": {"intensity": Intensity("mean", 20), "structure": Structure("equal", 10)},
    }
    trained = module(FAMO(), objectives=objectives, optimizer=partial(torch.optim.Adam, lr=1e-3), metrics=[Entropy()])
    names, place = Names(), folder / f"{ranks}"
    fit = trainer(
        place,
        max_steps=10,
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        precision="64-true",
        enable_checkpointing=True,
        logger=CSVLogger(place, name="", version=""),
        callbacks=[
            RepeatableNoise(),
            MeasureAgain(),
            MovingAverage(decay=0.9),
            names,
            GradientConflict(place / "conflict", 5),
            OperationWeights(place / "operations"),
            Checkpoints(place, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_last=True),
        ],
    )
    source = data(folder / "train", folder / "val", batch_size=2 // ranks)
    fit.fit(trained, source)
    combined = module(Aggregation(PCGrad()), objectives=objectives, optimizer=partial(torch.optim.Adam, lr=1e-3))
    again = trainer(
        place,
        max_steps=3,
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        precision="64-true",
        accumulate_grad_batches=2,
        callbacks=[SameNoise()],
    )
    again.fit(combined, data(folder / "train", batch_size=2 // ranks))
    told = {
        "normalised": normalised(folder, ranks),
        "skipping": [skipping(folder, ranks, accumulated) for accumulated in (1, 2)],
        "combined": {name: value.clone() for name, value in combined.network.state_dict().items()},
        "names": names.seen,
        "state": {name: value.clone() for name, value in trained.state_dict().items()},
        "logged": {name: value.clone() for name, value in fit.callback_metrics.items()},
        "tested": fit.validate(trained, source, verbose=False)[0],
    }
    torch.save(told, folder / f"{ranks}-{fit.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
