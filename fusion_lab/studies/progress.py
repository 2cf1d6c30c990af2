"""The table that a study shows while it runs."""

import csv
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fusion_lab.studies.trial import Trial

_MOST_ROWS = 30


class Progress:
    """Show every trial with its state and its last value of a metric in a terminal.

    Args:
        title: What stands above.
        metric: The metric.
        lines: In a pipe, write a line whenever a state changes; nothing unless given.
    """

    def __init__(self, title: str, metric: str | None = None, lines: bool = False) -> None:
        self._title = title
        self._metric = metric
        self._lines = lines
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._told: dict[int, str] = {}

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, trials: Sequence[tuple[Trial, str]]) -> None:
        """Show trials with their states, in their order."""
        if not (self._live or self._lines):
            return
        runs = [(_named(trial), state, last_value(trial, self._metric)) for trial, state in trials]
        if self._live:
            self._live.update(self._table(runs), refresh=True)
            return
        for number, (title, state, value) in enumerate(runs):
            if self._told.get(number) != state:
                self._told[number] = state
                print(f"{number:04d} {title}: {state}{_number(value)}", file=sys.stderr, flush=True)

    def _table(self, runs: Sequence[tuple[str, str, float | None]]) -> Table:
        states = [state for _, state, _ in runs]
        counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        table = Table("run", "", "state", self._metric or "", title=f"{self._title}: {counted}")
        for number, (title, state, value) in list(enumerate(runs))[-_MOST_ROWS:]:
            table.add_row(f"{number:04d}", title, state, _number(value).strip())
        return table


def _named(trial: Trial) -> str:
    return trial.title if trial.seed is None else f"{trial.title}, seed {trial.seed}"


def logged_values(trial: Trial, metric: str | None) -> list[float]:
    """Read the values of a metric that a trial has logged so far."""
    file = trial.run / "log" / "metrics.csv"
    # It may just be written.
    with suppress(OSError, ValueError), file.open(newline="", encoding="utf-8") as opened:
        return [float(row[metric]) for row in csv.DictReader(opened) if row.get(metric)]
    return []


def last_value(trial: Trial, metric: str | None) -> float | None:
    """Return the last value of a metric that a trial has logged."""
    values = logged_values(trial, metric)
    return values[-1] if values else None


def _number(value: float | None) -> str:
    return "" if value is None else f" {value:.5g}"
