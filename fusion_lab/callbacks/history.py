"""What a run logs, in one file that an interruption neither cuts nor doubles."""

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from fusion_lab.callbacks.lightning_internals import row_due
from fusion_lab.files import atomic_path, make_folder

Row = dict[str, Any]


class HistoryLogger(Logger):
    """Log training to ``FOLDER/metrics.csv``, a row a step and stage, and go on with it where a run is resumed.

    Lightning's CSVLogger begins another file. Together with `KeepHistory` a resumed run has the file of an
    uninterrupted one. What is scored without training is added to ``FOLDER/scores.csv``.

    Args:
        folder: Where the file goes.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.file = Path(folder) / "scores.csv"
        self._columns: list[str] = []
        self.rows = 0

    @property
    def name(self) -> str:
        """The name of the folder of the run."""
        return self.file.parent.parent.name

    @property
    def version(self) -> str:
        """A run has one version, its last."""
        return ""

    @property
    def save_dir(self) -> str:
        """The folder of the file."""
        return str(self.file.parent)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the folder of the run has its configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row; ``step`` is the number of steps before the one that it tells of."""
        row = {"step": step, **{name: getattr(value, "item", lambda v=value: v)() for name, value in metrics.items()}}
        if not row.keys() <= set(self._columns):
            self._write([*self._read(), row])
            return
        with self.file.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns).writerow(row)
        self.rows += 1

    @rank_zero_only
    def begin(self, rows: int = 0, last: Row | None = None) -> None:
        """Begin with training: keep the first ``rows`` rows of its file and add ``last``, if there is one."""
        self.file = self.file.with_name("metrics.csv")
        kept = self._read()[:rows]
        self._write([*kept, *([last] if last else [])])

    def _read(self) -> list[Row]:
        if not self.file.is_file():
            return []
        with self.file.open(newline="", encoding="utf-8") as file:
            # What a killed process wrote last may be no whole line.
            return [row for row in csv.DictReader(file) if None not in row and None not in row.values()]

    def _write(self, rows: list[Row]) -> None:
        """Write the file anew, with a column for each name."""
        self._columns = ["step", *sorted({name for row in rows for name in row if row[name] != ""} - {"step"})]
        make_folder(self.file.parent)
        with atomic_path(self.file) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)
        self.rows = len(rows)


class KeepHistory(Callback):
    """Let checkpoints know how far the history of `HistoryLogger` went, so that a resumed run goes on there.

    Attributes:
        metrics: The last value of each metric when the checkpoint was written that the run goes on from.
    """

    def __init__(self) -> None:
        self._begin: Row = {}
        self.metrics: dict[str, float] = {}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note the rows, and the one that Lightning logs only after the checkpoint of its step."""
        checkpoint["metrics"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
        for logger in _histories(trainer):
            checkpoint["history"] = {"rows": logger.rows, "last": row_due(trainer)}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember what was noted."""
        self._begin, self.metrics = checkpoint.get("history", {}), checkpoint.get("metrics", {})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the file, or cut it to what the checkpoint knows."""
        for logger in _histories(trainer):
            logger.begin(**self._begin)
        self._begin = {}


def _histories(trainer: Trainer) -> list[HistoryLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, HistoryLogger)]
