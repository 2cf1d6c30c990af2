"""Running many trainings, some at a time, each in a process of its own."""

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.runs.record import RESULT, checkpoints

COMMAND = (sys.executable, "-m", "fusion_lab.cli.main", "fit")
_PAUSE = 0.1


@dataclass(frozen=True)
class Result:
    """What a finished run came to.

    Attributes:
        steps: The steps it was trained for.
        metrics: The last value of each metric, finite or not.
    """

    steps: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Trial:
    """One experiment with one seed.

    Attributes:
        name: The ``exp.name`` of the experiment.
        seed: The seed; None for that of the configuration.
        output: The folder of all runs with this seed.
        options: What to give to ``fusion-lab fit``, besides seed and output.
        row: What the run is called in tables, the name unless given.
        switches: What is on and what is off in the experiment, as it says itself.
    """

    name: str
    seed: int | None
    output: Path
    options: tuple[str, ...]
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
    def begun(self) -> bool:
        """Whether the run has a checkpoint to go on from."""
        return bool(checkpoints(self.run))

    @property
    def command(self) -> list[str]:
        """The command that starts the run, or goes on with it."""
        seed = () if self.seed is None else (f"--exp.seed={self.seed}",)
        own = (*seed, f"--exp.output={self.output}")
        return [*COMMAND, *self.options, *own, *(("--ckpt_path", "last") if self.begun else ())]

    def submitted(self, options: Sequence[str]) -> list[str]:
        """Give the command that lets the run be a job of a cluster, and waits for it.

        Args:
            options: What to give to ``fusion-lab submit`` besides.
        """
        configs, overrides = [], []
        words = iter(self.command[len(COMMAND) :])
        for word in words:
            if word in ("-c", "--config"):
                configs += ["--config", next(words)]
            elif match := re.fullmatch(r"--config(?:\.\w+)?=(.*)", word):
                configs += ["--config", match[1]]
            elif word == "--ckpt_path":
                # A job goes on by itself.
                next(words)
            else:
                overrides.append(word)
        return [*COMMAND[:-1], "submit", "--wait", *options, *configs, "--", *overrides]

    def result(self) -> Result:
        """Read what the finished run came to.

        Raises:
            FusionLabError: The file is broken.
        """
        path = self.run / RESULT
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return Result(int(told["steps"]), {name: float(value) for name, value in told["metrics"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            raise FusionLabError(f"The file {path} is broken: delete it to score the run again.") from None

    def environment(self) -> dict[str, Any]:
        """Read what the run was made with; empty if that was not recorded."""
        try:
            return json.loads((self.run / "environment.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}


@dataclass(frozen=True)
class Failure:
    """A trial that ended without a result, and why: the last line that it printed."""

    trial: Trial
    reason: str


def run_trials(
    trials: Iterable[Trial],
    jobs: int,
    announce: Callable[[list[Trial]], None],
    should_stop: Callable[[Trial], bool] = lambda trial: False,
    gpus: int = 0,
    group: str = "",
    submit: Sequence[str] | None = None,
) -> Generator[tuple[Trial, Failure | None], None, None]:
    """Run trials in their order and yield each as it ends, with what went wrong if something did.

    Whatever ends the iteration early, such as Ctrl-C, stops the running trials: asked by Ctrl-C of their own, they
    save themselves; a second Ctrl-C kills them.

    Args:
        trials: What to run; the next one is asked for when there is room for it.
        jobs: How many to run at a time, at least 1.
        announce: Is told which trials are running whenever one begins or ends.
        should_stop: Is asked again and again whether a running trial should end early, by Ctrl-C.
        gpus: How many GPUs there are; each trial then sees one of its own, as long as there are no more jobs.
        group: What W&B calls all of them together.
        submit: Options of ``fusion-lab submit``, by which each trial then runs on a cluster.
    """
    waiting, running = iter(trials), dict[Trial, subprocess.Popen[bytes]]()
    free = deque(range(max(gpus, jobs)))
    places: dict[Trial, int] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < jobs:
                if (trial := next(waiting, None)) is None:
                    more = False
                    break
                places[trial] = free.popleft()
                command = trial.command if submit is None else trial.submitted(submit)
                running[trial] = _start(trial, command, places[trial] % gpus if gpus else None, group)
                announce(list(running))
            for trial, process in list(running.items()):
                if process.poll() is not None:
                    del running[trial]
                    free.append(places.pop(trial))
                    announce(list(running))
                    yield trial, _failure(trial, process.returncode)
                elif should_stop(trial):
                    _signal([process], signal.SIGINT)
            time.sleep(_PAUSE)
    finally:
        _stop(list(running.values()))


def _start(trial: Trial, command: list[str], gpu: int | None, group: str) -> "subprocess.Popen[bytes]":
    make_folder(trial.output)
    environment = {**os.environ, "WANDB_RUN_GROUP": group} if group else dict(os.environ)
    if gpu is not None:
        # Of those that the user has chosen.
        seen = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
        environment["CUDA_VISIBLE_DEVICES"] = seen[gpu % len(seen)] if seen else str(gpu)
    with trial.log.open("ab") as log:
        # In a session of its own: Ctrl-C in the terminal would reach it a second time, and so stop it at once.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            preexec_fn=_listen,
        )


def _listen() -> None:
    """Hear Ctrl-C even where a shell has started all of this in the background, for which it makes it ignored.

    And be asked to make room where this process dies without a word: nobody would know of a trial that outlives it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(OSError, AttributeError):
        # Linux alone has it: 1 is PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _failure(trial: Trial, code: int) -> Failure | None:
    if code == 0 and trial.finished:
        return None
    if code == 0:
        return Failure(trial, f"it left no {RESULT} in {trial.run}: keep `trainer.default_root_dir` as it is")
    if code < 0:
        return Failure(trial, f"it was ended by signal {-code} ({signal.strsignal(-code)})")
    lines = [line for line in trial.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return Failure(trial, lines[-1].strip() if lines else f"it ended with exit code {code}")


def _stop(processes: "list[subprocess.Popen[bytes]]") -> None:
    """Let processes save themselves and end."""
    if processes:
        print(
            f"\nStopping {len(processes)} running, which save themselves first; press Ctrl-C again to kill them.",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    _signal(processes, signal.SIGINT)
    try:
        for process in processes:
            process.wait()
    except KeyboardInterrupt:
        _signal(processes, signal.SIGKILL)
        for process in processes:
            process.wait()


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let the end of the terminal or of the machine stop this process as Ctrl-C does: trials must not outlive it."""
    listened = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, signal.default_int_handler) for number in listened}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _signal(processes: "list[subprocess.Popen[bytes]]", number: signal.Signals) -> None:
    for process in processes:
        # Its group: it may have started others for further devices.
        with suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, number)
