"""How long a training step of TITA takes with each weighting, in units of that with the plain sum of the losses.

    python benchmarks/weightings.py [--steps 6] [--patch 32] [--device cpu]

The weightings take turns step by step, so that what else the machine does falls on all of them. Medians are compared.
"""

import argparse
import statistics
import time

import torch
from torchjd.aggregation import MGDA, PCGrad, UPGrad
from torchjd.scalarization import UW

from fusion_lab.modules import TITAModule
from fusion_lab.weighting import FAMO, Aggregation, Equal, LossWeighting, Scalarization

BASELINE = "plain sum"
TASKS = ["ivf", "mff", "mef"]


class Training:
    """A network in training with one weighting, on one batch of noise."""

    def __init__(self, weighting: LossWeighting, patch: int, device: str) -> None:
        self.module = TITAModule(weighting=weighting).to(device).train()
        weighting.setup(TASKS)
        weighting.to(device)
        learnt = [*self.module.network.parameters(), *weighting.parameters()]
        self.optimizer = torch.optim.Adam(learnt, lr=2e-5)
        pair = torch.rand(2, 1, 1, patch, patch, device=device)
        self.batch = {task: {"source_a": pair[0], "source_b": pair[1]} for task in TASKS}
        self.times: list[float] = []

    def step(self) -> None:
        """Train one step as the trainer and `MeasureAgain` do, and note the time."""
        start = time.perf_counter()
        losses = self.module.task_losses(self.batch)
        self.optimizer.zero_grad()
        self.module.weighting(losses).backward()
        self.optimizer.step()
        weighting = self.module.weighting
        if weighting.measures_again:
            before = {task: loss.detach() for task, loss in losses.items()}
            with torch.no_grad():
                after = before if weighting.reuse_next_loss else self.module.task_losses(self.batch)
            weighting.update(before, after)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.times.append(time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    trainings = {
        name: Training(weighting, arguments.patch, arguments.device)
        for name, weighting in {
            BASELINE: Equal(),
            "FAMO": FAMO(),
            "FAMO, reuse_next_loss": FAMO(reuse_next_loss=True),
            "UW": Scalarization(UW(3)),
            "PCGrad": Aggregation(PCGrad()),
            "MGDA": Aggregation(MGDA()),
            "UPGrad": Aggregation(UPGrad()),
        }.items()
    }
    for _ in range(arguments.steps + 1):
        for training in trainings.values():
            training.step()
    # The first step of each is left out: it allocates.
    medians = {name: statistics.median(training.times[1:]) for name, training in trainings.items()}
    print(f"{BASELINE}: {medians[BASELINE]:.3f} s a step")
    for name, median in medians.items():
        print(f"{name:<24}{median / medians[BASELINE]:.2f}")


if __name__ == "__main__":
    main()
