"""``fusion-lab fit|validate|test|predict``: `fusion_lab.Run` from the command line."""

import argparse
import os
import re
from pathlib import Path

from fusion_lab.errors import REQUEUE, FusionLabError
from fusion_lab.runs.compose import compose
from fusion_lab.runs.run import NO_EXPERIMENT, Run


def main(command: str, argv: list[str]) -> int:
    """Run a command on the configurations that ``argv`` names; returns the exit code."""
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    own.add_argument("-c", "--config", action="append", type=Path, default=[])
    own.add_argument("--ckpt_path")
    try:
        # `--config.WHATEVER=FILE` too: the parameters of a sweep need names of their own.
        ours, options = own.parse_known_args([re.sub(r"^--config\.[\w.]+=", "--config=", word) for word in argv])
    except argparse.ArgumentError as error:
        raise FusionLabError(f"{error}.") from None
    if not ours.config and "--help" not in options and "-h" not in options:
        raise FusionLabError(NO_EXPERIMENT)
    run = Run(compose(ours.config), options, [command, *argv], command)
    if command == "fit":
        return _fit(run, ours.ckpt_path)
    getattr(run, command)(ours.ckpt_path)
    if command == "predict":
        print(f"The fused images are in {run.folder / 'fused'}.")
    return 0


def _fit(run: Run, checkpoint: str | None) -> int:
    try:
        print(run.fit(checkpoint=checkpoint))
    except (SystemExit, KeyboardInterrupt) as error:
        code = error.code if isinstance(error, SystemExit) else None
        if "WANDB_SWEEP_ID" in os.environ and code in (None, 0, REQUEUE):
            # An agent of W&B takes codes above 0 for failures and gives up after some: this run has not failed.
            print(f"\nThe sweep has ended the run early; what it learnt is in {run.folder}.", flush=True)
            return 0
        if code not in (0, REQUEUE):
            raise
        if code == REQUEUE:
            print(f"\nThe run makes room; the same command with --ckpt_path last goes on from {run.folder}.")
        return code
    return 0
