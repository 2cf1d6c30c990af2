"""Experiments, axes and seeds: all combinations."""

import itertools
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.files import expand_home, make_folder, write_text
from fusion_lab.runs.compose import SHIPPED, Config, compose, find_file, variants
from fusion_lab.runs.result import is_run
from fusion_lab.studies.plan import Plan
from fusion_lab.studies.search import SEED, Listed
from fusion_lab.studies.sweep_file import SweepFile, is_sweep, read_sweep
from fusion_lab.studies.trial import Options, Trial, options_of, written

CONFIGS = "configs"
"""The folder of what each experiment of a study is composed to."""
_OWN = {"exp.name", "exp.seed", "exp.output"}
_NO_NAME = re.compile(r"[^\w.=+-]+")


class Grid(Plan):
    """The trials of experiments over axes and seeds, seed by seed: what is done first is a whole table.

    Args:
        experiments: Configurations, or sweeps whose grids name them.
        folder: The folder of all runs, ``FOLDER/seedN/NAME``.
        axes: What is varied in each of them, as of `Study`.
        seeds: The seeds.
        overrides: Values for all of them by their keys.
        layers: Configurations to lay over each of them.
        scored: Whether they are to be scored on validation pairs, so that all need some.
        options: Further keys and values, as a user gave them.

    Raises:
        FusionLabError: An experiment is missing or has no plain name, two have one name, or one validates nothing.
    """

    def __init__(
        self,
        experiments: Sequence[Path],
        folder: Path,
        axes: Mapping[str, str | Sequence[Any]] | None = None,
        seeds: Sequence[int] = (0, 1, 2),
        overrides: Mapping[str, Any] | None = None,
        layers: Sequence[Path] = (),
        scored: bool = True,
        options: Options = (),
    ) -> None:
        if own := _OWN & {*(axes or {}), *(overrides or {})} or (axes or {}).keys() & (overrides or {}).keys():
            raise FusionLabError(
                f"A study itself gives `{min(own)}` to each run: leave it out of the others, and name seeds by `seeds`."
            )
        self._made_with: dict[str, str] = {}
        # Files may be edited while the study runs.
        self._configs: dict[Path, str] = {}
        self._folder = folder
        named: dict[str, Path] = {}
        points = _points(axes or {})
        shared = (*options_of([], overrides or {}), *options)
        planned: list[tuple[str, str, Options, tuple[tuple[str, bool], ...]]] = []
        varied = [configs for file in experiments for configs in _configurations(file)]
        for several in varied:
            for labels, overlays, values in points:
                files = [*several, *overlays, *layers]
                config = compose(files)
                keys = config.get("exp") or {}
                name = _name(several[0], config)
                title = ""
                if labels:
                    title = ", ".join([name, *labels] if len(varied) > 1 else labels)
                    name = _NO_NAME.sub("-", "-".join([name, *labels]))
                if name in named:
                    raise FusionLabError(
                        f"{named[name]} and {several[0]} have the same `exp.name`, {name}: rename one of them."
                    )
                kept = folder / CONFIGS / f"{name}.yaml"
                given = (*options_of([kept], values), *shared, *((("exp.name", name),) if labels else ()))
                if scored and not (_validates(config) or any("init_args.val" in key for key, _ in given)):
                    raise FusionLabError(
                        f"The experiment {several[0]} validates nothing, so that there is nothing to compare: lay data "
                        "with `val` over it, such as --with configs/data/embedded.yaml, or name other --metrics."
                    )
                named[name] = several[0]
                told = [f"--{key}={value}" for key, value in given if key != "c"]
                self._made_with[name] = yaml.safe_dump({"overrides": told, "config": config}, sort_keys=False)
                self._configs[kept] = yaml.safe_dump(config, sort_keys=False)
                planned.append((name, title, given, tuple((keys.get("switches") or {}).items())))
        self._trials = [
            Trial(name, seed, folder / f"seed{seed}", given, title, switches)
            for seed in seeds
            for name, title, given, switches in planned
        ]

    def known(self) -> Sequence[Trial]:
        """Return all trials."""
        return self._trials

    def begin(self, folder: Path) -> None:
        """Keep what each experiment is made with beside its runs, as ``NAME.yaml``.

        Raises:
            FusionLabError: Runs there were made with another configuration or other overrides.
        """
        for trial in self._trials:
            earlier = folder / f"{trial.name}.yaml"
            runs = (place for place in folder.glob(f"seed*/{trial.name}") if is_run(place))
            if not earlier.is_file() or not any(runs):
                continue
            if earlier.read_text(encoding="utf-8") != self._made_with[trial.name]:
                raise FusionLabError(
                    f"The run {trial.run} was made with another configuration or other overrides, kept in {earlier}: "
                    "name another --output, or delete the runs of this experiment."
                )
        for file, text in self._configs.items():
            write_text(file, text)
        for name, text in self._made_with.items():
            write_text(make_folder(folder) / f"{name}.yaml", text)


def _name(file: Path, config: Config) -> str:
    """Return the name of an experiment.

    Raises:
        FusionLabError: It has none that can be that of a folder.
    """
    keys = config.get("exp") or {}
    name = str(keys.get("name", "")) if isinstance(keys, dict) else ""
    if not name or Path(name).name != name or "$" in name:
        raise FusionLabError(f"The experiment {file} should have a plain `exp.name`. Found '{name}'.")
    return name


Point = tuple[list[str], list[Path], dict[str, Any]]
"""A combination: what its values are called in tables, its overlays, its values by their keys."""


def _points(axes: Mapping[str, str | Sequence[Any]]) -> list[Point]:
    """Combine the values of all axes, the last one fastest."""
    choices: list[list[Point]] = []
    for name, given in axes.items():
        values = _overlays(name, given) if isinstance(given, str) else list(given)
        if not values:
            raise FusionLabError(f"The axis '{name}' has no values: list one or more.")
        if all(isinstance(value, Path) or str(value).endswith(".yaml") for value in values):
            choices.append([([Path(value).stem], [Path(value)], {}) for value in values])
        else:
            label = name.rpartition(".")[2]
            choices.append([([f"{label}={written(value)}"], [], {name: value}) for value in values])
    return [
        (
            [label for labels, _, _ in point for label in labels],
            [overlay for _, overlays, _ in point for overlay in overlays],
            {key: value for _, _, values in point for key, value in values.items()},
        )
        for point in itertools.product(*choices)
    ]


def _overlays(name: str, pattern: str) -> list[Path]:
    """Find the configurations of a pattern, here or in the package.

    Raises:
        FusionLabError: There are none.
    """
    for place in (Path(), SHIPPED):
        if found := sorted(place.glob(pattern)) if not Path(pattern).is_absolute() else []:
            return found
    raise FusionLabError(f"No configuration matches '{pattern}' of the axis '{name}': check the pattern.")


def _configurations(file: Path) -> list[tuple[Path, ...]]:
    """Return the configurations of an experiment, of each that a file holds, or in the grid of a sweep.

    The seeds of a sweep are left out: they are ours to give.

    Raises:
        FusionLabError: The sweep varies more than configurations.
    """
    found = find_file(file)
    if several := variants(found):
        return [(one,) for one in several]
    # What is no YAML, or missing, is told where it is composed.
    with suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        if is_sweep(yaml.safe_load(found.read_text(encoding="utf-8"))):
            return _grid(read_sweep(found))
    return [(file,)]


def _grid(sweep: SweepFile) -> list[tuple[Path, ...]]:
    others = [one.name for one in sweep.parameters if one.name.partition(".")[0] != "config" and one.name != SEED]
    if sweep.method != "grid" or others:
        what = f"varies `{others[0]}`" if others else f"is a {sweep.method} search"
        raise FusionLabError(
            f"The sweep {sweep.path} {what}, but `ablate` compares configurations: run it by `fusion-lab sweep`."
        )
    known = ("c", "config", "exp.output")
    if odd := [key for key, _ in (*sweep.before, *sweep.after) if not (key in known or key.startswith("config."))]:
        raise FusionLabError(
            f"The sweep {sweep.path} gives `--{odd[0]}` to its runs, which `ablate` would leave out: write "
            "configurations as --config=FILE, and overrides after ` -- `."
        )
    grid = []
    for values in Listed(sweep):
        given = [(name, value) for name, value in values.items() if name != SEED]
        options = (*sweep.before, *given, *sweep.after)
        grid.append(tuple(Path(expand_home(str(value))) for key, value in options if key.startswith("c")))
    return list(dict.fromkeys(grid))


def _validates(config: dict[str, Any]) -> bool:
    """Tell whether a configuration has validation pairs; data of another kind is trusted to have some."""
    arguments = (config.get("data") or {}).get("init_args") or {}
    return bool(arguments.get("val")) or "train" not in arguments
