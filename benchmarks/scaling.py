"""How training scales from one process to two, one thread each, and what the processes send each other in a step.

    python benchmarks/scaling.py [--only GIFNet] [--steps 10] [--rounds 3] [--patch 48]

Both experiments are trained by `fusion-lab fit` itself, on the embedded data. Efficiency is the number of steps a
second of two processes over that of one, each process with a batch of its own: 1 means that twice the pairs take the
same time. What is sent is counted by PyTorch's profiler and set against the least that such a step can do with: the
gradients of what it trains, and for FAMO the losses of the tasks before and after it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning import Callback, LightningModule, Trainer
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).parents[1]
EXPERIMENTS = {"TITA+FAMO": "tita/embedded.yaml", "GIFNet": "gifnet/embedded.yaml"}
WARM, PROFILED = 4, 2


class Clock(Callback):
    """Note the time of every step and, in the last two, what is sent; written as JSON at the end."""

    def __init__(self, file: Path | str) -> None:
        self.file = Path(file)
        self.times: list[float] = []
        self.trained: list[int] = []
        self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin to count before the last steps."""
        if trainer.global_step == trainer.max_steps - PROFILED:
            self.profiler.start()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Note how many numbers this step trains."""
        self.trained.append(sum(p.numel() for p in pl_module.parameters() if p.grad is not None))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        self.times.append(time.perf_counter())

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write what was noted."""
        self.profiler.stop()
        if trainer.is_global_zero:
            steps = self.times[WARM:-PROFILED]
            sent = [
                (event.name, event.input_shapes) for event in self.profiler.events() if event.name.startswith("gloo:")
            ]
            told = {
                "seconds": (steps[-1] - steps[0]) / (len(steps) - 1),
                "sent": sent,
                "trained": self.trained[-PROFILED:],
            }
            self.file.write_text(json.dumps(told))


def measure(experiment: str, processes: int, steps: int, patch: int) -> dict[str, Any]:
    """Train for some steps and tell what `Clock` noted."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told.json"
        overlay = {
            "exp": {"output": folder, "data_root": str(ROOT / "data")},
            "data": {
                "init_args": {
                    "batch_size": 1,
                    "num_workers": 0,
                    "augmentation": {"class_path": "fusion_lab.data.Augmentation", "init_args": {"patch": patch}},
                }
            },
            "trainer": {
                "accelerator": "cpu",
                "devices": processes,
                "max_steps": steps + WARM + PROFILED,
                "limit_val_batches": 0,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "callbacks+": [{"class_path": "scaling.Clock", "init_args": {"file": str(told)}}],
            },
        }
        config = Path(folder) / "overlay.yaml"
        config.write_text(yaml.safe_dump(overlay))
        command = [sys.executable, "-m", "fusion_lab.cli.main", "fit"]
        path = os.pathsep.join([str(Path(__file__).parent), str(ROOT)])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": path}
        done = subprocess.run(
            [*command, "--config", str(ROOT / "experiments" / experiment), "--config", str(config)],
            env=environment, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(done.stderr)
        return dict(json.loads(told.read_text()))


def numbers(shapes: list[Any]) -> int:
    """Count the numbers in tensors of such shapes, which may be nested lists."""
    if shapes and all(isinstance(size, int) for size in shapes):
        return int(torch.Size(shapes).numel())
    return sum(numbers(shape) for shape in shapes if isinstance(shape, list))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=EXPERIMENTS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--patch", type=int, default=48)
    arguments = parser.parse_args()
    for name in [arguments.only] if arguments.only else EXPERIMENTS:
        seconds: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(arguments.rounds):
            for processes in seconds:
                told = measure(EXPERIMENTS[name], processes, arguments.steps, arguments.patch)
                seconds[processes].append(told["seconds"])
        one, two = (statistics.median(seconds[processes]) for processes in (1, 2))
        print(
            f"{name}: {1 / one:.2f} steps a second with one process, {1 / two:.2f} with two; "
            f"efficiency {one / two:.2f}",
            flush=True,
        )
        calls: dict[tuple[str, int], int] = {}
        for kind, shapes in told["sent"]:
            calls[kind, numbers(shapes)] = calls.get((kind, numbers(shapes)), 0) + 1
        all_numbers = sum(size * count for (_, size), count in calls.items()) / PROFILED
        least = sum(told["trained"]) / PROFILED + (6 if "FAMO" in name else 0)
        print(f"  numbers sent in a step: {all_numbers:.0f}, at least {least:.0f}; ratio {all_numbers / least:.4f}")
        for (kind, size), count in sorted(calls.items()):
            print(f"  {kind} of {size} numbers: {count / PROFILED:g} a step")


if __name__ == "__main__":
    main()
