"""Which values the runs of a sweep have."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fusion_lab.errors import FusionLabError
from fusion_lab.studies.sweep_file import Parameter, SweepFile, Values

SEED = "exp.seed"


class Search:
    """Proposes values, and may learn from what they led to."""

    def __iter__(self) -> Iterator[Values]:
        """Propose values until there are enough; the same ones in the same order each time."""
        raise NotImplementedError

    def told(self, number: int, value: float | None) -> None:
        """Learn what the proposal of a number led to; None for a failure."""

    def should_stop(self, number: int, values: list[float]) -> bool:
        """Tell from the values of the metric so far whether a run should end early."""
        return False


def search(sweep: SweepFile, folder: Path, seed: int = 0) -> Search:
    """Make the search that a sweep asks for.

    Args:
        sweep: The sweep.
        folder: Where what was learnt is kept.
        seed: The seed of all that is drawn.

    Raises:
        FusionLabError: It needs Optuna, which is not installed.
    """
    if sweep.method != "bayes" and sweep.early_termination is None:
        return Listed(sweep, seed)
    try:
        from fusion_lab.studies.optuna_search import OptunaSearch
    except ImportError:
        raise FusionLabError(
            f"The sweep {sweep.path} searches or ends runs early, which Optuna does: install the extra `search`."
        ) from None
    return OptunaSearch(sweep, folder, seed)


class Listed(Search):
    """A grid, or values drawn beforehand: nothing is learnt."""

    def __init__(self, sweep: SweepFile, seed: int = 0) -> None:
        self._sweep = sweep
        self._seed = seed

    def __iter__(self) -> Iterator[Values]:
        """Propose the grid, the last parameter fastest, or draw as many as there are runs."""
        parameters = self._sweep.parameters
        if self._sweep.method == "grid":
            grid = itertools.product(*(parameter.values for parameter in parameters))
            names = [parameter.name for parameter in parameters]
            yield from itertools.islice((dict(zip(names, values, strict=True)) for values in grid), self._sweep.run_cap)
            return
        generator = np.random.default_rng(self._seed)
        for _ in range(self._sweep.run_cap or 0):
            yield {parameter.name: _draw(parameter, generator) for parameter in parameters}


def _draw(parameter: Parameter, generator: np.random.Generator) -> Any:
    """Draw one value as W&B describes its distributions."""
    if parameter.values:
        return parameter.values[generator.choice(len(parameter.values), p=parameter.probabilities or None)]
    numbers = dict(parameter.numbers or {})
    low, high = numbers.get("min", 0.0), numbers.get("max", 1.0)
    if parameter.distribution == "int_uniform":
        return int(generator.integers(int(low), int(high), endpoint=True))
    if parameter.distribution == "log_uniform_values":
        return float(np.exp(generator.uniform(np.log(low), np.log(high))))
    if parameter.distribution == "normal":
        return float(generator.normal(numbers["mu"], numbers["sigma"]))
    value = float(generator.uniform(low, high))
    return round(value / numbers["q"]) * numbers["q"] if parameter.distribution == "q_uniform" else value
