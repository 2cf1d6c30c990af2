"""One training of a study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion_lab.errors import FusionLabError
from fusion_lab.runs.compose import plain
from fusion_lab.runs.result import RESULT, Result, checkpoints

Options = tuple[tuple[str, str], ...]
"""Keys and values in the order that a user gave them; ``c`` and ``config`` name a configuration."""

ENDED_EARLY = "ended_early.json"


def written(value: Any) -> str:
    """Write a value as a command line takes it."""
    if isinstance(value, str | Path):
        return str(value)
    return json.dumps(plain(value))


def read_options(words: Sequence[str]) -> Options:
    """Take the words of a command, such as ``--config=FILE`` or ``-c FILE``, apart.

    Raises:
        FusionLabError: A key or a value is missing.
    """
    options = []
    rest = iter(words)
    for word in rest:
        key, sign, value = word.partition("=")
        if not key.startswith("-") or (not sign and (value := next(rest, "--")).startswith("--")):
            raise FusionLabError(f"`{word}` should be a key with a value: write --KEY=VALUE.")
        options.append((key.lstrip("-"), value))
    return tuple(options)


def options_of(configs: list[Path], overrides: Mapping[str, Any]) -> Options:
    """Return configurations and values by their keys as options."""
    return (*(("c", str(file)) for file in configs), *((key, written(value)) for key, value in overrides.items()))


@dataclass(frozen=True)
class Trial:
    """One experiment with one seed.

    Attributes:
        name: The ``exp.name`` of the experiment.
        seed: The seed; None for that of the configuration.
        output: The folder of all runs with this seed.
        options: Its configurations and overrides, besides seed and output.
        row: What the run is called in tables, the name unless given.
        switches: What is on and what is off in the experiment, as it says itself.
    """

    name: str
    seed: int | None
    output: Path
    options: Options
    row: str = ""
    switches: tuple[tuple[str, bool], ...] = ()

    @property
    def title(self) -> str:
        """What the run is called in tables, the same for all seeds."""
        return self.row or self.name

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.output / self.name

    @property
    def log(self) -> Path:
        """The file with all that the run prints."""
        return self.output / f"{self.name}.log"

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end."""
        return (self.run / RESULT).is_file()

    @property
    def ended_early(self) -> bool:
        """Whether a search has ended the run before its end."""
        return (self.run / ENDED_EARLY).is_file()

    @property
    def begun(self) -> bool:
        """Whether the run has a checkpoint to go on from."""
        return bool(checkpoints(self.run))

    @property
    def all_options(self) -> Options:
        """All that the training is given."""
        seed = () if self.seed is None else (("exp.seed", str(self.seed)),)
        return (*self.options, *seed, ("exp.output", str(self.output)))

    @property
    def configs(self) -> list[Path]:
        """The configurations among the options."""
        return [Path(value) for key, value in self.options if _is_config(key)]

    @property
    def overrides(self) -> Options:
        """The options that are no configurations."""
        return tuple((key, value) for key, value in self.all_options if not _is_config(key))

    def result(self) -> Result:
        """Read what the finished run came to.

        Raises:
            FusionLabError: The file is broken.
        """
        return Result.read(self.run)

    def environment(self) -> dict[str, Any]:
        """Read what the run was made with; empty if that was not recorded."""
        try:
            return json.loads((self.run / "environment.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}


def _is_config(key: str) -> bool:
    return key in ("c", "config") or key.startswith("config.")
