"""An alternating training for `test_alternating_processes`, run as a script: ``alternating.py FOLDER RANKS``."""

import sys
from functools import partial
from pathlib import Path

import torch
from lightning import Callback, seed_everything
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).parents[2]))

from fusion_lab.callbacks import AlternatingFreeze
from fusion_lab.losses import InformationError, SquaredError
from fusion_lab.losses.information import FixedInformation
from tests.tiny import gifnet_module, sharp_data, trainer

STEPS = 10


class States(Callback):
    """Remember the network and its phase after every batch, and what the processes send each other in the last one."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, torch.Tensor]]] = []
        self.sent: list[int] = []
        self.trained = 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == STEPS - 1:
            self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
            self.profiler.start()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.trained = sum(p.numel() for p in pl_module.parameters() if p.grad is not None)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        state = pl_module.network.state_dict()
        self.seen.append((pl_module.phase, {name: tensor.clone() for name, tensor in state.items()}))
        if trainer.global_step == STEPS:
            self.profiler.stop()
            events = [event for event in self.profiler.events() if event.name.startswith("gloo:")]
            self.sent = [int(torch.Size(shape).numel()) for event in events for shape in _shapes(event.input_shapes)]


def _shapes(found):
    """Flatten nested lists of shapes."""
    if found and all(isinstance(size, int) for size in found):
        return [found]
    return [shape for inner in found if isinstance(inner, list) for shape in _shapes(inner)]


def main(folder: Path, ranks: int) -> None:
    """Train, and save the network after every step."""
    seed_everything(0)
    # Losses that are means over the samples, so that two ranks have the gradient of one process.
    objectives = {"ivf": {"error": InformationError(FixedInformation())}, "mff": {"error": SquaredError()}}
    module = gifnet_module(
        objectives=objectives, public={"error": SquaredError()}, optimizer=partial(torch.optim.Adam, lr=1e-3)
    )
    states = States()
    fit = trainer(
        folder / f"{ranks}",
        max_steps=STEPS,
        devices=ranks,
        strategy="ddp" if ranks > 1 else "auto",
        precision="64-true",
        gradient_clip_val=0.1,
        callbacks=[
            AlternatingFreeze(
                {"multi_modal": ["digital_photography"], "digital_photography": ["multi_modal", "decoder"]}
            ),
            states,
        ],
    )
    fit.fit(module, sharp_data(folder / "pairs", batch_size=2 // ranks))
    torch.save(
        {"seen": states.seen, "sent": states.sent, "trained": states.trained}, folder / f"{ranks}-{fit.global_rank}.pt"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
