"""A training for `test_two_processes`, run as a script: ``ranks.py FOLDER RANKS``."""

import sys
from functools import partial
from pathlib import Path

import torch
from lightning import Callback, seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torchjd.aggregation import PCGrad

sys.path.insert(0, str(Path(__file__).parents[2]))

from fusion_lab.callbacks import Checkpoints, GradientConflict, MeasureAgain, OperationWeights, RepeatableNoise
from fusion_lab.losses import Intensity, Structure, Texture
from fusion_lab.metrics import Entropy
from fusion_lab.weighting import FAMO, Aggregation
from tests.tiny import Names, data, module, trainer


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
            EMAWeightAveraging(decay=0.9, use_buffers=False),
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
        "combined": {name: value.clone() for name, value in combined.network.state_dict().items()},
        "names": names.seen,
        "state": {name: value.clone() for name, value in trained.state_dict().items()},
        "logged": {name: value.clone() for name, value in fit.callback_metrics.items()},
        "tested": fit.validate(trained, source, verbose=False)[0],
    }
    torch.save(told, folder / f"{ranks}-{fit.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
