"""Searching by Optuna: Bayesian search, and ending bad runs early."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from fusion_lab.files import make_folder
from fusion_lab.studies.search import Listed, Search
from fusion_lab.studies.sweep_file import Parameter, SweepFile, Values

_TURNED = {"minimize": 1.0, "maximize": -1.0}


class OptunaSearch(Search):
    """Values by the tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), early ends by Hyperband.

    What was proposed and told is kept in ``optuna.log``, so that a sweep that goes on proposes the same again and knows
    what it knew.

    Args:
        sweep: The sweep; its ``method`` may be any, if only runs end early.
        folder: Where the file goes.
        seed: The seed of what is drawn.
    """

    def __init__(self, sweep: SweepFile, folder: Path, seed: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._sweep = sweep
        self._listed = None if sweep.method == "bayes" else list(Listed(sweep, seed))
        self._seed = seed
        storage = JournalStorage(JournalFileBackend(str(make_folder(folder) / "optuna.log")))
        self._study = optuna.create_study(
            storage=storage, study_name="sweep", load_if_exists=True, pruner=_pruner(sweep), direction="minimize"
        )
        self._trials: dict[int, optuna.Trial] = {}

    def __iter__(self) -> Iterator[Values]:
        """Propose what was proposed before, and then more, up to ``run_cap`` or the end of the list."""
        known = self._study.get_trials(deepcopy=False)
        count = len(self._listed) if self._listed is not None else self._sweep.run_cap or 0
        for number in range(count):
            # Seeded by the number, so that a sweep that goes on draws as one that was not interrupted.
            self._study.sampler = self._sampler(self._seed + number)
            asked = number < len(known)
            trial = optuna.Trial(self._study, known[number]._trial_id) if asked else self._study.ask()
            self._trials[number] = trial
            # One that was asked for when the sweep was killed has no values yet.
            if "values" not in trial.user_attrs:
                values = self._listed[number] if self._listed is not None else {
                    parameter.name: _suggest(parameter, trial) for parameter in self._sweep.parameters
                }  # fmt: skip
                trial.set_user_attr("values", values)
            yield dict(trial.user_attrs["values"])

    def told(self, number: int, value: float | None) -> None:
        """Learn what a run led to; None for a failure. What is known already stays."""
        trial = self._trials[number]
        if self._study.get_trials(deepcopy=False)[number].state.is_finished():
            return
        if value is None:
            self._study.tell(trial, state=TrialState.FAIL)
        else:
            self._study.tell(trial, value * _TURNED[self._sweep.goal])

    def should_stop(self, number: int, values: list[float]) -> bool:
        """Tell whether a run with such values so far, one a validation, is worse than those that go on."""
        trial = self._trials[number]
        if self._study.get_trials(deepcopy=False)[number].state.is_finished():
            return False
        reported = self._study.get_trials(deepcopy=False)[number].intermediate_values
        for step, value in enumerate(values, start=1):
            if step in reported:
                continue
            trial.report(value * _TURNED[self._sweep.goal], step)
            # One by one, so that runs are compared at the same step, however often they are looked at.
            if trial.should_prune():
                self._study.tell(trial, state=TrialState.PRUNED)
                return True
        return False

    def _sampler(self, seed: int) -> BaseSampler:
        return TPESampler(seed=seed, constant_liar=True) if self._listed is None else RandomSampler(seed)


def _pruner(sweep: SweepFile) -> BasePruner:
    if sweep.early_termination is None:
        return NopPruner()
    early = sweep.early_termination
    return HyperbandPruner(early.min_iter, early.max_iter or "auto", early.eta)


def _suggest(parameter: Parameter, trial: optuna.Trial) -> Any:
    """Let Optuna choose a value from a distribution of W&B's."""
    if parameter.values:
        # Optuna knows plain values alone; what is chosen may be a list.
        return parameter.values[trial.suggest_categorical(parameter.name, list(range(len(parameter.values))))]
    numbers = dict(parameter.numbers or {})
    if parameter.distribution == "normal":
        # Optuna has no normal distribution: four deviations to either side hold all that would be drawn.
        spread = 4 * numbers["sigma"]
        return trial.suggest_float(parameter.name, numbers["mu"] - spread, numbers["mu"] + spread)
    low, high = numbers["min"], numbers["max"]
    if parameter.distribution == "int_uniform":
        return trial.suggest_int(parameter.name, int(low), int(high))
    return trial.suggest_float(
        parameter.name, low, high, log=parameter.distribution == "log_uniform_values", step=numbers.get("q")
    )
