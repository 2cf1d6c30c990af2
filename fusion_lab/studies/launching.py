"""Running many trainings, some at a time: each in a process of its own here, or as a job of a cluster."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

from fusion_lab.errors import FusionLabError
from fusion_lab.files import make_folder
from fusion_lab.runs.cluster import Cluster, Job
from fusion_lab.runs.command import FIT, fit_options
from fusion_lab.runs.compose import compose
from fusion_lab.runs.result import RESULT
from fusion_lab.studies.trial import Trial

COMMAND = FIT
_PAUSE = 0.1


@dataclass(frozen=True)
class Failure:
    """A trial that ended without a result, and why: the last line that it printed."""

    trial: Trial
    reason: str


class Running(Protocol):
    """A trial that was launched."""

    def ended(self) -> bool:
        """Tell whether it has ended, well or not."""

    def failure(self) -> str | None:
        """Tell what went wrong with one that has ended; None if nothing did."""

    def stop(self, kill: bool = False) -> None:
        """Ask it to save itself and end, or end it at once."""


class Launcher(Protocol):
    """Where trials run."""

    def start(self, trial: Trial, place: int, group: str) -> Running:
        """Start a trial.

        Args:
            trial: The trial.
            place: Its number among those that run at the same time.
            group: What W&B calls all trials together.
        """


@dataclass(frozen=True)
class Processes:
    """Run trials in processes of this machine.

    Args:
        gpus: How many GPUs there are; each trial then sees one of its own, as long as there are no more jobs.
    """

    gpus: int = 0

    def start(self, trial: Trial, place: int, group: str) -> Running:
        """Start a trial, or go on with it."""
        make_folder(trial.output)
        environment = {**os.environ, "WANDB_RUN_GROUP": group} if group else dict(os.environ)
        if self.gpus:
            # Of those that the user has chosen.
            seen = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
            gpu = place % self.gpus
            environment["CUDA_VISIBLE_DEVICES"] = seen[gpu % len(seen)] if seen else str(gpu)
        resume = ("--ckpt_path", "last") if trial.begun else ()
        with trial.log.open("ab") as log:
            # In a session of its own: Ctrl-C in the terminal would reach it a second time, and so stop it at once.
            process = subprocess.Popen(
                [*COMMAND, *fit_options(trial.all_options), *resume],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                preexec_fn=_listen,
            )
        return _Process(trial, process)


@dataclass(frozen=True)
class _Process:
    trial: Trial
    process: "subprocess.Popen[bytes]"

    def ended(self) -> bool:
        return self.process.poll() is not None

    def failure(self) -> str | None:
        trial, code = self.trial, self.process.returncode
        if code == 0:
            return _no_result(trial)
        if code < 0:
            return f"it was ended by signal {-code} ({signal.strsignal(-code)})"
        lines = [line for line in trial.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else f"it ended with exit code {code}"

    def stop(self, kill: bool = False) -> None:
        # Its group: it may have started others for further devices.
        with suppress(ProcessLookupError):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL if kill else signal.SIGINT)


@dataclass(frozen=True)
class Jobs:
    """Run each trial as a job of a cluster.

    Args:
        cluster: The cluster, and what each job needs.
    """

    cluster: Cluster

    def start(self, trial: Trial, place: int, group: str) -> Running:
        """Submit a trial, which goes on by itself where it has begun."""
        before = os.environ.get("WANDB_RUN_GROUP")
        try:
            if group:
                # Jobs see the variables of whoever submits them.
                os.environ["WANDB_RUN_GROUP"] = group
            job = self.cluster.submit(compose(trial.configs), fit_options(trial.overrides))
        except FusionLabError as error:
            return _ClusterJob(trial, None, str(error))
        finally:
            if group and before is None:
                del os.environ["WANDB_RUN_GROUP"]
            elif before is not None:
                os.environ["WANDB_RUN_GROUP"] = before
        return _ClusterJob(trial, job)


@dataclass(frozen=True)
class _ClusterJob:
    trial: Trial
    job: Job | None
    refused: str = ""

    def ended(self) -> bool:
        return self.job is None or self.job.ended

    def failure(self) -> str | None:
        if self.job is None:
            return self.refused
        try:
            self.job.wait()
        except FusionLabError as error:
            return str(error)
        return _no_result(self.trial)

    def stop(self, kill: bool = False) -> None:
        if self.job is not None:
            self.job.cancel()


def run_trials(
    trials: Iterable[Trial],
    jobs: int,
    announce: Callable[[list[Trial]], None],
    should_stop: Callable[[Trial], bool] = lambda trial: False,
    launcher: Launcher | None = None,
    group: str = "",
) -> Generator[tuple[Trial, Failure | None], None, None]:
    """Run trials in their order and yield each as it ends, with what went wrong if something did.

    Whatever ends the iteration early, such as Ctrl-C, stops the running trials: asked by Ctrl-C of their own, they
    save themselves; a second Ctrl-C kills them.

    Args:
        trials: What to run; the next one is asked for when there is room for it.
        jobs: How many to run at a time, at least 1.
        announce: Is told which trials are running whenever one begins or ends.
        should_stop: Is asked again and again whether a running trial should end early, by Ctrl-C.
        launcher: Where they run; in processes of this machine unless given.
        group: What W&B calls all of them together.
    """
    waiting, running = iter(trials), dict[Trial, Running]()
    launcher = launcher or Processes()
    free = deque(range(jobs))
    places: dict[Trial, int] = {}
    more = True
    try:
        while more or running:
            while more and len(running) < jobs:
                if (trial := next(waiting, None)) is None:
                    more = False
                    break
                places[trial] = free.popleft()
                running[trial] = launcher.start(trial, places[trial], group)
                announce(list(running))
            for trial, one in list(running.items()):
                if one.ended():
                    del running[trial]
                    free.append(places.pop(trial))
                    announce(list(running))
                    reason = one.failure()
                    yield trial, None if reason is None else Failure(trial, reason)
                elif should_stop(trial):
                    one.stop()
            time.sleep(_PAUSE)
    finally:
        _stop(list(running.values()))


def _listen() -> None:
    """Hear Ctrl-C even where a shell has started all of this in the background, for which it makes it ignored.

    And be asked to make room where this process dies without a word: nobody would know of a trial that outlives it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(OSError, AttributeError):
        # Linux alone has it: 1 is PR_SET_PDEATHSIG.
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _no_result(trial: Trial) -> str | None:
    if trial.finished:
        return None
    return f"it left no {RESULT} in {trial.run}: keep `trainer.default_root_dir` as it is"


def _stop(running: list[Running]) -> None:
    """Let trials save themselves and end."""
    if running:
        print(
            f"\nStopping {len(running)} running, which save themselves first; press Ctrl-C again to kill them.",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    for one in running:
        one.stop()
    try:
        while not all(one.ended() for one in running):
            time.sleep(_PAUSE)
    except KeyboardInterrupt:
        for one in running:
            one.stop(kill=True)
        while not all(one.ended() for one in running):
            time.sleep(_PAUSE)


@contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """Let the end of the terminal or of the machine stop this process as Ctrl-C does: trials must not outlive it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    listened = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, signal.default_int_handler) for number in listened}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
