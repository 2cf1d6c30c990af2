"""A training for `test_two_processes`, run as a script: ``ranks.py FOLDER RANKS``."""

import sys
from functools import partial
from pathlib import Path

import torch
from lightning import seed_everything
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger

sys.path.insert(0, str(Path(__file__).parents[2]))

from fusion_lab.callbacks import Checkpoints, GradientConflict, MeasureAgain, OperationWeights, RepeatableNoise
from fusion_lab.losses import Intensity, Structure, Texture
from fusion_lab.metrics import Entropy
from fusion_lab.weighting import FAMO
from tests.tiny import Names, data, module, trainer


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
    told = {
        "names": names.seen,
        "state": {name: value.clone() for name, value in trained.state_dict().items()},
        "logged": {name: value.clone() for name, value in fit.callback_metrics.items()},
        "tested": fit.validate(trained, source, verbose=False)[0],
    }
    torch.save(told, folder / f"{ranks}-{fit.global_rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
