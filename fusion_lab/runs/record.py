"""What a run leaves behind so that its numbers can be traced."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, SupportsFloat
from uuid import uuid4

from lightning import Callback, LightningModule, Trainer

from fusion_lab import __version__
from fusion_lab.files import atomic_path

RESULT = "result.json"
BEST = "best.ckpt"


def checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints that the run in a folder can go on from, the newest first.

    The best one, which may be of long ago, is none of them, nor is what a killed process has left half-written.
    """
    found = [path for path in (folder / "checkpoints").glob("[!.]*.ckpt") if path.name != BEST]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def record_run(folder: Path, config: str, argv: list[str]) -> None:
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
            record_run(*self._told)


def record_result(folder: Path, steps: int, metrics: Mapping[str, SupportsFloat]) -> None:
    """Write ``result.json`` to the folder of a run that has ended: its steps and last metrics, finite or not."""
    result = {"steps": steps, "metrics": {name: float(value) for name, value in metrics.items()}}
    with atomic_path(folder / RESULT) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def run_id(folder: Path) -> str:
    """Give the name by which W&B knows the run in a folder: random, and the same whenever the run goes on."""
    file = folder / "wandb_id"
    if not file.is_file():
        with atomic_path(file) as temporary:
            temporary.write_text(uuid4().hex[:12] + "\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()


def environment(argv: list[str]) -> dict[str, Any]:
    """Tell the command, the time, the commit of the code and the version of every package."""
    return {
        "command": ["fusion-lab", *argv],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "fusion_lab": __version__,
        "commit": _commit(),
        "python": sys.version.split()[0],
        # Every look at the metadata of a package reads its file again.
        "packages": dict(sorted((m["Name"], m["Version"]) for d in distributions() if (m := d.metadata)["Name"])),
    }


def _commit() -> str | None:
    """Give the commit of the source tree, marked where files differ from it; None outside a clone."""
    root = Path(__file__).parents[2]
    # Installed into the environment of another project, git would tell the commit of that one.
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match", ""],
            cwd=root, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
