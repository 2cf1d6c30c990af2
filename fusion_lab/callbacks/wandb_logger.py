"""Logging to Weights & Biases, with or without its server."""

import netrc
import os
import sys
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from fusion_lab.errors import FusionLabError
from fusion_lab.reporting.tables import higher_is_better

STOPPED = "ended_early"
"""What the summary of a run says that a sweep has ended."""
_CTRL_C = 130
_SERVER = "https://api.wandb.ai"


class RunLogger(WandbLogger):
    """`WandbLogger` that works offline where nobody has logged in, and knows what is better.

    The run keeps its id, in ``wandb_id`` of its folder, however often it goes on; sweeps and ablations group their
    runs. The tags are the switches that are on, and ``no NAME`` for those that are off. The summary of each loss and
    score of validation has its best value and its last one.

    Args:
        project: The project.
        name: The name of the run.
        save_dir: Where the run is written; ``wandb sync`` sends what was written offline.
        switches: What is on and off in the experiment.
        offline: Never send anything; found out by whether there is a login unless given.
    """

    def __init__(
        self,
        project: str = "fusion_lab",
        name: str | None = None,
        save_dir: Path | str = ".",
        switches: dict[str, bool] | None = None,
        offline: bool | None = None,
    ) -> None:
        if offline is None:
            offline = "WANDB_MODE" not in os.environ and not _logged_in()
            if offline:
                told = f"W&B works offline, as nobody has logged in: `wandb sync` sends {save_dir}/wandb later."
                rank_zero_only(print)(told, file=sys.stderr)
        tags = [name if on else f"no {name}" for name, on in (switches or {}).items()]
        super().__init__(name=name, save_dir=save_dir, project=project, offline=offline, tags=tags)
        self._directed: set[str] = set()

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Log the configuration, by which the run begins.

        Raises:
            FusionLabError: W&B's server does not answer, or refuses the run.
        """
        try:
            super().log_hyperparams(params)
        except wandb.Error as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise FusionLabError(
                f"W&B takes no run ({reason}): check WANDB_BASE_URL and the login, or set WANDB_MODE=offline."
            ) from error

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers; the first time a loss or score of validation comes, tell where it is better."""
        for name in metrics:
            if name.startswith(("val/", "test/")) and name not in self._directed:
                self._directed.add(name)
                if (higher := higher_is_better(name)) is not None:
                    best = "max" if higher else "min"
                    self.experiment.define_metric(name, summary=f"{best},last", step_metric="trainer/global_step")
        super().log_metrics(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run: one that failed as such, and one that a sweep ends early as one that has not failed.

        W&B listens to `sys.exit`, by which it would take the first for finished and the second for failed.
        """
        super().finalize(status)
        if self._experiment is None:
            return
        error = sys.exc_info()[1]
        failed = isinstance(error, Exception)
        # The next run of this process is another one.
        if status == "success":
            self._experiment.finish()
        elif failed or "WANDB_SWEEP_ID" in os.environ:
            self._experiment.summary[STOPPED] = not failed
            self._experiment.finish(exit_code=int(failed))
        elif isinstance(error, KeyboardInterrupt):
            self._experiment.finish(exit_code=_CTRL_C)


def _logged_in() -> bool:
    """Look for a key where W&B does: the environment, and the file that ``wandb login`` writes."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    # With its port, as `wandb login` writes it.
    machine = urlparse(os.environ.get("WANDB_BASE_URL", _SERVER)).netloc
    with suppress(OSError, netrc.NetrcParseError):
        return netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc").authenticators(machine) is not None
    return False
