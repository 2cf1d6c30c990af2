"""What a run leaves behind so that its numbers can be traced."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat
from uuid import uuid4

from lightning import Callback, LightningModule, Trainer

from fusion_lab.environment import environment
from fusion_lab.files import atomic_path
from fusion_lab.runs.result import RESULT


def _record_run(folder: Path, config: str, argv: list[str]) -> None:
    """Write ``config.yaml``, the whole resolved configuration, and ``environment.json`` to the folder of a run."""
    # A run that goes on has no result yet.
    (folder / RESULT).unlink(missing_ok=True)
    with atomic_path(folder / "config.yaml") as temporary:
        temporary.write_text(config, encoding="utf-8")
    with atomic_path(folder / "environment.json") as temporary:
        temporary.write_text(json.dumps(environment(argv), indent=1) + "\n", encoding="utf-8")


class RecordRun(Callback):
    """Record a run that goes on when training begins: what is refused before it must not change what the record tells.

    Args:
        folder: The folder of the run.
        config: The whole resolved configuration.
        argv: The command.
    """

    def __init__(self, folder: Path, config: str, argv: list[str]) -> None:
        self._told = folder, config, argv

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record."""
        self.write(trainer)

    def write(self, trainer: Trainer) -> None:
        """Write the record, by the first process."""
        if trainer.is_global_zero:
            _record_run(*self._told)


def record_result(folder: Path, steps: int, metrics: Mapping[str, SupportsFloat]) -> None:
    """Write ``result.json`` to the folder of a run that has ended: its steps and last metrics, finite or not."""
    result = {"steps": steps, "metrics": {name: float(value) for name, value in metrics.items()}}
    with atomic_path(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def run_id(folder: Path) -> str:
    """Return the name by which W&B knows the run in a folder: random, and the same whenever the run goes on."""
    file = folder / "wandb_id"
    if not file.is_file():
        with atomic_path(file) as temporary:
            temporary.write_text(uuid4().hex[:12] + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
