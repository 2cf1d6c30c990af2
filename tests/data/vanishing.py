"""Two trainings for `test_bad_samples` on two processes, from under which a file vanishes: ``vanishing.py FOLDER``.

The first goes on without the pair, the second ends.
"""

import sys
from pathlib import Path

from lightning import Callback, seed_everything

sys.path.insert(0, str(Path(__file__).parents[2]))

from fusion_lab.data import Augmentation, MultiTaskDataModule
from fusion_lab.errors import FusionLabError
from tests.tiny import PATCH, module, pairs, trainer

STEPS = 12


class Vanish(Callback):
    """Remove, after the second step, the file that only the second process reads in the last batch of the epoch."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 2 and trainer.global_rank == 1:
            sampler = trainer.train_dataloader.batch_sampler
            [draw] = list(sampler)[-1]
            trainer.datamodule.splits["train"]["ivf"][0].pairs[draw.index].b.unlink()


def fit(folder: Path, policy: str, workers: int) -> None:
    """Train, and leave a file where a process has come to the end."""
    source = MultiTaskDataModule(
        pairs(folder / policy, ["ivf"]),
        batch_size=1,
        augmentation=Augmentation(PATCH),
        num_workers=workers,
        on_bad_sample=policy,
    )
    run = trainer(folder, max_steps=STEPS, devices=2, strategy="ddp", callbacks=[Vanish()])
    try:
        run.fit(module(), source)
    except FusionLabError as error:
        print(f"{policy}, rank {run.global_rank}: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    (folder / f"{policy}-{run.global_rank}").write_text(str(run.global_step))


if __name__ == "__main__":
    seed_everything(0)
    fit(Path(sys.argv[1]), "skip", 1)
    fit(Path(sys.argv[1]), "raise", 0)
