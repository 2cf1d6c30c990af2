"""What a training came to."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fusion_lab.errors import FusionLabError

if TYPE_CHECKING:
    from pandas import DataFrame

    from fusion_lab.networks import FusionNetwork
    from fusion_lab.runs.start import StartReport

RESULT = "result.json"
BEST = "best.ckpt"


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints that the run in a folder can go on from, the newest first.

    The best one, which may be of long ago, is none of them, nor is what a killed process has left half-written.
    """
    found = [path for path in (folder / "checkpoints").glob("[!.]*.ckpt") if path.name != BEST]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def is_run(folder: Path) -> bool:
    """Tell whether a folder holds a run that has begun or ended."""
    return (folder / RESULT).is_file() or bool(checkpoints(folder))


@dataclass(frozen=True)
class Result:
    """What a run that has ended came to.

    Attributes:
        folder: The folder of the run.
        steps: The steps it was trained for.
        metrics: The last value of each metric, finite or not.
        resumed_from: The steps that were done when this call of `Run.fit` began.
        started_from: What became of the weights of ``exp.weights``; None where there are none.
    """

    folder: Path
    steps: int
    metrics: dict[str, float]
    resumed_from: int = 0
    started_from: "StartReport | None" = field(default=None, repr=False)

    @classmethod
    def read(cls, folder: Path | str) -> Self:
        """Read the result of a run that has ended from its folder.

        Raises:
            FusionLabError: There is none, or the file is broken.
        """
        path = Path(folder) / RESULT
        if not path.is_file():
            raise FusionLabError(f"The run {folder} has no {RESULT}: it has not ended yet.")
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                Path(folder), int(told["steps"]), {name: float(value) for name, value in told["metrics"].items()}
            )
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise FusionLabError(f"The file {path} is broken: delete it to score the run again.") from None

    def __str__(self) -> str:
        """Return what happened, in one sentence or two."""
        began = f"{self.started_from}\n" if self.started_from is not None else ""
        if self.steps == self.resumed_from:
            return f"Nothing was left to train: the run in {self.folder} has done all of its {self.steps} steps."
        return f"{began}Trained for {self.steps} steps; checkpoints, log and configuration are in {self.folder}."

    @property
    def network(self) -> "FusionNetwork":
        """The trained network of the newest checkpoint, in evaluation mode on the CPU.

        Raises:
            FusionLabError: There is no checkpoint.
        """
        from fusion_lab.inference.weights import load_network
        from fusion_lab.runs.resume import find_checkpoint

        return load_network(find_checkpoint("last", self.folder)[0])

    @property
    def history(self) -> "DataFrame":
        """All that was logged, a row a step, of ``log/metrics.csv``; what was not logged at a step is NaN.

        Raises:
            FusionLabError: Another logger was configured.
        """
        import pandas as pd

        path = self.folder / "log" / "metrics.csv"
        if not path.is_file():
            raise FusionLabError(f"There is no history in {path}: another logger has it.")
        return pd.read_csv(path)
