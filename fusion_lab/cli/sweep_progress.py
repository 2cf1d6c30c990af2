"""The table that a sweep shows while it runs."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from fusion_lab.cli.sweep_file import SweepFile

_MOST_ROWS = 30


class SweepProgress:
    """Show every run with its state and its last value of the metric; in a pipe, a line whenever a state changes.

    Args:
        file: The sweep.
    """

    def __init__(self, file: SweepFile) -> None:
        self._file = file
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

    def show(self, runs: Sequence[tuple[str, str, float | None]]) -> None:
        """Show the title, state and last value of each run, in their order."""
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
        table = Table("run", "", "state", self._file.metric or "", title=f"{self._file.path.name}: {counted}")
        for number, (title, state, value) in list(enumerate(runs))[-_MOST_ROWS:]:
            table.add_row(f"{number:04d}", title, state, _number(value).strip())
        return table


def _number(value: float | None) -> str:
    return "" if value is None else f" {value:.5g}"
