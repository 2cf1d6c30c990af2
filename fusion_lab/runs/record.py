"""What a run leaves behind so that its numbers can be traced."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import SupportsFloat
from uuid import uuid4

from lightning import Callback, LightningModule, Trainer

from fusion_lab.environment import environment
from fusion_lab.files import write_text
from fusion_lab.runs.result import RESULT


class RecordRun(Callback):
    """Write ``config.yaml``, the whole resolved configuration, and ``environment.json`` to the folder of a run.

    As a callback it does so when training begins: what is refused before must not change what is told of a run.

    Args:
        folder: The folder of the run.
        config: The whole resolved configuration.
        argv: The command.
    """

    def __init__(self, folder: Path, config: str, argv: list[str]) -> None:
        self._folder, self._config, self._argv = folder, config, argv

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the record."""
        self.write(trainer)

    def write(self, trainer: Trainer) -> None:
        """Write the record, by the first process."""
        if trainer.is_global_zero:
            # A run that goes on has no result yet.
            (self._folder / RESULT).unlink(missing_ok=True)
            write_text(self._folder / "config.yaml", self._config)
            write_text(self._folder / "environment.json", json.dumps(environment(self._argv), indent=1) + "\n")


def record_result(folder: Path, steps: int, metrics: Mapping[str, SupportsFloat]) -> None:
    """Write ``result.json`` to the folder of a run that has ended: its steps and last metrics, finite or not."""
    result = {"steps": steps, "metrics": {name: float(value) for name, value in metrics.items()}}
    write_text(folder / RESULT, json.dumps(result, indent=1) + "\n")


def run_id(folder: Path) -> str:
    """Return the name by which W&B knows the run in a folder: random, and the same whenever the run goes on."""
    file = folder / "wandb_id"
    if not file.is_file():
        write_text(file, uuid4().hex[:12] + "\n")
    return file.read_text(encoding="utf-8").strip()
