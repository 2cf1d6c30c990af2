"""Reading W&B's sweep files: https://docs.wandb.ai/guides/sweeps/sweep-config-keys/."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.studies.trial import Options, read_options

Values = dict[str, Any]
"""One value for each parameter."""

_KEYS = {
    "program", "command", "method", "metric", "parameters", "early_terminate", "run_cap", "name", "description",
    "project", "entity",
}  # fmt: skip
_NUMERIC = {
    "int_uniform": {"min", "max"},
    "uniform": {"min", "max"},
    "log_uniform_values": {"min", "max"},
    "q_uniform": {"min", "max", "q"},
    "normal": {"mu", "sigma"},
}


@dataclass(frozen=True)
class Parameter:
    """What is varied, or fixed.

    Attributes:
        name: The key of the configuration.
        values: What to choose from; empty where a number is drawn.
        probabilities: How probable each of the values is, if not all alike.
        distribution: How a number is drawn.
        numbers: What the distribution is given, by W&B's names.
    """

    name: str
    values: tuple[Any, ...] = ()
    probabilities: tuple[float, ...] = ()
    distribution: str = "categorical"
    numbers: Mapping[str, float] | None = None


@dataclass(frozen=True)
class EarlyTermination:
    """Hyperband (Li et al., JMLR 2018): bad runs end early; W&B's names for its numbers.

    Attributes:
        min_iter: The value of the metric that is looked at first, counted in validations.
        eta: Of how many runs one goes on.
        max_iter: The last value that is looked at; as many as there are unless given.
    """

    min_iter: int
    eta: int
    max_iter: int | None


@dataclass(frozen=True)
class SweepFile:
    """A sweep.

    Attributes:
        path: The file.
        before: What the command gives to ``fusion-lab fit`` before the parameters.
        after: What it gives after them.
        method: How values are chosen.
        parameters: What is varied, in their order.
        metric: What is compared, for ``bayes`` and early termination.
        goal: Where it is better.
        early_termination: Whether bad runs end early, and when.
        run_cap: The most runs, if that is limited.
    """

    path: Path
    before: Options
    after: Options
    method: Literal["grid", "random", "bayes"]
    parameters: tuple[Parameter, ...]
    metric: str | None
    goal: Literal["minimize", "maximize"]
    early_termination: EarlyTermination | None
    run_cap: int | None


class _Loader(yaml.SafeLoader):
    """Reads ``1e-4`` as a number, as YAML 1.2 does; YAML 1.1 asks for ``1.0e-4``."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


def is_sweep(content: Any) -> bool:
    """Tell a sweep from an experiment by its keys."""
    return isinstance(content, dict) and "parameters" in content and "method" in content


def read_sweep(path: Path) -> SweepFile:
    """Read a sweep file.

    Raises:
        FusionLabError: It is missing, is no sweep, or asks for what cannot be done without a server.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise FusionLabError(f"The sweep {path} does not exist: check the path.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FusionLabError(f"The sweep {path} cannot be read ({one_line(error)}).") from None
    if not is_sweep(content):
        raise FusionLabError(f"The file {path} is no sweep: it needs the keys `method` and `parameters`.")
    if unknown := sorted(set(content) - _KEYS):
        raise FusionLabError(
            f"The sweep {path} has an unknown key `{unknown[0]}`: choose among {', '.join(sorted(_KEYS))}."
        )
    if content["method"] not in ("grid", "random", "bayes"):
        raise FusionLabError(f"`method` in {path} should be grid, random or bayes. Found `{content['method']}`.")
    parameters = content["parameters"]
    if not isinstance(parameters, dict) or not parameters:
        raise FusionLabError(f"`parameters` in {path} should name what is varied.")
    metric = content.get("metric") or {}
    if not isinstance(metric, dict):
        raise FusionLabError(f"`metric` in {path} should be a dictionary, such as {{name: val/loss, goal: minimize}}.")
    goal = metric.get("goal", "minimize")
    if goal not in ("minimize", "maximize"):
        raise FusionLabError(f"`metric.goal` in {path} should be minimize or maximize. Found `{goal}`.")
    early = _early_termination(path, content.get("early_terminate"))
    if (content["method"] == "bayes" or early) and "name" not in metric:
        raise FusionLabError(f"The sweep {path} compares its runs: name what by, as `metric: {{name: val/loss}}`.")
    read = tuple(_parameter(path, name, given) for name, given in _flat(path, parameters).items())
    if content["method"] == "grid" and (drawn := [one.name for one in read if not one.values]):
        raise FusionLabError(
            f"A grid has no end where `{drawn[0]}` is drawn: list its `values` in {path}, or choose random."
        )
    cap = content.get("run_cap")
    if content["method"] != "grid" and not isinstance(cap, int):
        raise FusionLabError(f"The sweep {path} would never end: set `run_cap`, the number of its runs.")
    return SweepFile(path, *_command(path, content), content["method"], read, metric.get("name"), goal, early, cap)


def _flat(path: Path, parameters: Values, outer: str = "") -> Values:
    """Name the members of nested parameters with dots, as the keys of a configuration."""
    flat: Values = {}
    for key, given in parameters.items():
        name = f"{outer}{key}"
        inner = given.get("parameters") if isinstance(given, dict) else None
        if inner is None:
            flat[name] = given
        elif not isinstance(inner, dict) or not inner or len(given) > 1:
            raise FusionLabError(
                f"`parameters.{name}` in {path} should hold `parameters` alone, which name what is varied."
            )
        else:
            flat |= _flat(path, inner, f"{name}.")
    return flat


def _parameter(path: Path, name: str, given: Any) -> Parameter:
    where = f"`parameters.{name}` in {path}"
    if not isinstance(given, dict):
        raise FusionLabError(f"{where} should be a dictionary with `value`, `values` or a distribution.")
    if "value" in given:
        return Parameter(name, (given["value"],))
    if "values" in given:
        values, probabilities = given["values"], given.get("probabilities", [])
        if not isinstance(values, list) or not values or (probabilities and len(probabilities) != len(values)):
            raise FusionLabError(f"{where} should list one value or more, and a probability for each or none.")
        if probabilities and not math.isclose(sum(probabilities), 1, abs_tol=1e-6):
            raise FusionLabError(f"{where}: `probabilities` should be 1 in sum. Found {sum(probabilities):g}.")
        return Parameter(name, tuple(values), tuple(probabilities))
    whole = all(isinstance(given.get(end), int) for end in ("min", "max"))
    distribution = given.get("distribution", "int_uniform" if whole else "uniform")
    if distribution not in _NUMERIC:
        raise FusionLabError(
            f"{where} has the distribution `{distribution}`: choose one of {', '.join(sorted(_NUMERIC))}."
        )
    numbers = {key: given[key] for key in given if key != "distribution"}
    defaults = {"normal": {"mu": 0.0, "sigma": 1.0}, "q_uniform": {"q": 1.0}}.get(distribution, {})
    numbers = {**defaults, **numbers}
    if set(numbers) != _NUMERIC[distribution] or not all(_is_number(value) for value in numbers.values()):
        raise FusionLabError(f"{where} should have the numbers {', '.join(sorted(_NUMERIC[distribution]))}.")
    if "min" in numbers and not (numbers["min"] > 0 or distribution != "log_uniform_values"):
        raise FusionLabError(f"{where}: `min` of log_uniform_values should be above 0. Found `min = {numbers['min']}`.")
    if "min" in numbers and not numbers["min"] < numbers["max"]:
        raise FusionLabError(f"{where}: `min` should be below `max`. Found {numbers['min']} and {numbers['max']}.")
    return Parameter(name, distribution=distribution, numbers=numbers)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _early_termination(path: Path, given: Any) -> EarlyTermination | None:
    if not given:
        return None
    if not isinstance(given, dict) or given.get("type") != "hyperband" or not {"min_iter", "max_iter"} & set(given):
        raise FusionLabError(f"`early_terminate` in {path} should have `type: hyperband` and `min_iter` or `max_iter`.")
    eta = int(given.get("eta", 3))
    least = int(given.get("min_iter") or max(1, given["max_iter"] // eta ** int(given.get("s", 1))))
    return EarlyTermination(least, eta, given.get("max_iter"))


def _command(path: Path, content: Values) -> tuple[Options, Options]:
    """Return what stands between ``fit`` and the parameters, and what follows them."""
    command = [str(word) for word in content.get("command") or []]
    if "fit" not in command or "${args}" not in command:
        raise FusionLabError(f"`command` in {path} should run `fusion-lab fit` and hold ${{args}}, the parameters.")
    place = command.index("${args}")
    return read_options(command[command.index("fit") + 1 : place]), read_options(command[place + 1 :])
