"""Check fusion_lab on a GPU and measure it: a table for docs/GPU.md.

    python benchmarks/gpu.py [--shared ../shared] [--steps 200] [--device cpu --patch 16]

Parity with the stored outputs of the official code (if the folder is there) in float32, TensorFloat-32 and bfloat16;
training steps of TITA with FAMO and of GIFNet in phases, by the trainer, with time, images a second, memory and the
share of the loader; a run that is resumed; and where there are two GPUs, two processes on NCCL. On a CPU it only shows
that the script itself works.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from safetensors.torch import load_file

from fusion_lab.callbacks import (
    AlternatingFreeze,
    MatmulPrecision,
    MeasureAgain,
    MovingAverage,
    RepeatableNoise,
)
from fusion_lab.data import Augmentation, JointDataModule, MultiTaskDataModule
from fusion_lab.data.auxiliary import FocusSynthesis
from fusion_lab.data.embedded_pairs import EmbeddedPairs
from fusion_lab.inference.weights import load_network
from fusion_lab.losses import InformationError, SquaredError
from fusion_lab.losses.information import GradientInformation
from fusion_lab.modules import FusionModule, GIFNetModule, TITAModule
from fusion_lab.weighting import FAMO

TASKS = ("ivf", "mff", "mef")
WARM_UP = 20

Row = tuple[str, str]


class StepTimes(Callback):
    """Times of whole steps, and how long each waited for its batch."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.waits: list[float] = []
        self._ended = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._started = time.perf_counter()
        if self._ended:
            self.waits.append(self._started - self._ended)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        before, self._ended = self._ended, time.perf_counter()
        if before:
            self.steps.append(self._ended - before)


class SaveAt(Callback):
    """Writes a checkpoint after a step."""

    def __init__(self, step: int, file: Path) -> None:
        self.step, self.file = step, file

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.file)


@contextmanager
def precision(name: str, device: str) -> Iterator[None]:
    """Compute in float32, TensorFloat-32 (``tf32``) or under autocast to bfloat16 (``bf16``)."""
    before = torch.get_float32_matmul_precision()
    tf32 = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = name == "tf32"
    try:
        with torch.autocast(device, torch.bfloat16, enabled=name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = tf32


def parity(golden: Path, device: str) -> list[Row]:
    """Return the largest difference from stored outputs of the official TITA, in each precision."""
    network = load_network(golden / "weights.safetensors").to(device).eval()
    case = load_file(golden / "case_b2_64x64.safetensors", device=device)
    rows = []
    for name in ("float32", "tf32", "bf16"):
        with torch.inference_mode(), precision(name, device):
            fused = network(case["A"], case["B"]).float()
        apart = (fused - case["out"]).abs().max()
        rows.append((f"TITA, largest difference from the official output, {name}", f"{apart:.1e}"))
    return rows


def tita_data(patch: int, batch_size: int, workers: int) -> MultiTaskDataModule:
    """Return pairs of three tasks that come with the package."""
    return MultiTaskDataModule(
        {task: [EmbeddedPairs(task, "train")] for task in TASKS},
        batch_size=batch_size,
        augmentation=Augmentation(patch),
        num_workers=workers,
    )


def gifnet_data(patch: int, batch_size: int, workers: int) -> JointDataModule:
    """Return infrared-visible pairs that come with the package, with synthetic focus."""
    return JointDataModule(
        [EmbeddedPairs("ivf", "train")],
        auxiliary=FocusSynthesis(),
        batch_size=batch_size,
        augmentation=Augmentation(patch),
        num_workers=workers,
    )


def tita_module(joint_pass: bool = True) -> TITAModule:
    """Return TITA with FAMO as it is trained on a GPU."""
    return TITAModule(weighting=FAMO(), joint_pass=joint_pass, optimizer=_fused_adam(2e-5))


def gifnet_module() -> GIFNetModule:
    """Return GIFNet with losses that need no download."""
    objectives = {"ivf": {"information": InformationError(GradientInformation(1000))}, "mff": {"error": SquaredError()}}
    return GIFNetModule(objectives=objectives, optimizer=_fused_adam(1e-3))


def _fused_adam(lr: float) -> Callable[[Any], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.Adam(parameters, lr=lr, fused=True)


PHASES = {"multi_modal": ["digital_photography"], "digital_photography": ["multi_modal"]}


def train(
    module: FusionModule, data: Any, count: int, kind: str, device: str, *callbacks: Callback, **options: Any
) -> Trainer:
    """Train some steps as an experiment does."""
    checkpoint = options.pop("ckpt_path", None)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            default_root_dir=folder,
            max_steps=count,
            precision=kind,  # type: ignore[arg-type]
            callbacks=[RepeatableNoise(), MeasureAgain(), MovingAverage(), MatmulPrecision(), *callbacks],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            limit_val_batches=0,
            **{"accelerator": device, "devices": 1, **options},
        )
        trainer.fit(module, data, ckpt_path=checkpoint)
    return trainer


def steps(
    name: str, module: FusionModule, data: Any, count: int, kind: str, device: str, *callbacks: Callback
) -> list[Row]:
    """Return time, images a second, memory and the loader's share of training steps, and the last loss."""
    times = StepTimes()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    trainer = train(module, data, count + WARM_UP, kind, device, *callbacks, times)
    loss = trainer.callback_metrics["train/loss"].item()
    step, wait = (statistics.median(found[WARM_UP:]) for found in (times.steps, times.waits))
    pairs = data.batch_size * len(data.tasks)
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device == "cuda" else "not measured"
    return [
        (f"{name}, {kind}, a step", f"{1000 * step:.1f} ms, {pairs / step:.0f} pairs/s"),
        (f"{name}, {kind}, waiting for the loader", f"{wait / step:.0%}"),
        (f"{name}, {kind}, peak memory", memory),
        (f"{name}, {kind}, loss after {count + WARM_UP} steps", f"{loss:.3g}"),
    ]


def resume(device: str) -> list[Row]:
    """Return how far a run that went on is from one that did not stop, FAMO's logits and the average included."""

    def run(*callbacks: Callback, **options: Any) -> dict[str, torch.Tensor]:
        data = tita_data(32, 1, 0)
        trainer = train(seeded(tita_module), data, 8, "32-true", device, *callbacks, **options)
        return trainer.lightning_module.state_dict()

    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "half.ckpt"
        whole = run(SaveAt(4, checkpoint))
        rest = run(ckpt_path=checkpoint)
    apart = max((whole[name].double() - rest[name].double()).abs().max().item() for name in whole)
    return [("TITA + FAMO, resumed after 4 of 8 steps, largest difference", f"{apart:.1e}")]


def seeded(make: Callable[[], FusionModule]) -> FusionModule:
    """Make a module with the same weights every time."""
    seed_everything(0, verbose=False)
    return make()


def two_processes(count: int) -> list[Row]:
    """Return the time of a step of two processes on NCCL."""
    times = StepTimes()
    options = {"devices": 2, "strategy": "ddp"}
    train(tita_module(), tita_data(64, 4, 4), count + WARM_UP, "bf16-mixed", "cuda", times, **options)
    step = statistics.median(times.steps[WARM_UP:])
    return [("TITA + FAMO, two GPUs on NCCL, 3 x 4 x 64 each, a step", f"{1000 * step:.1f} ms")]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: nothing is measured. docs/GPU.md says where it was.")
        return 0
    name = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    rows = [("device", name), ("torch", torch.__version__)]
    golden = given.shared / "golden" / "tita"
    rows += parity(golden, given.device) if golden.is_dir() else []
    for kind in ("32-true", "bf16-mixed"):
        data: Any = tita_data(given.patch, given.pairs, given.workers)
        title = f"TITA + FAMO, 3 x {given.pairs} x {given.patch}"
        rows += steps(title, tita_module(), data, given.steps, kind, given.device)
        data = gifnet_data(2 * given.patch, given.pairs, given.workers)
        title = f"GIFNet in phases, {given.pairs} x {2 * given.patch}"
        freeze = AlternatingFreeze(phases=PHASES)
        rows += steps(title, gifnet_module(), data, given.steps, kind, given.device, freeze)
    rows += resume(given.device)
    if given.device == "cuda" and torch.cuda.device_count() > 1:
        rows += two_processes(given.steps)
    print("| what | measured |\n|---|---|")
    for what, measured in rows:
        print(f"| {what} | {measured} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
