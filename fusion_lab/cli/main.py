"""``fusion-lab``: finds the command and tells errors in one sentence."""

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from fusion_lab import __version__
from fusion_lab.cli.commands import COMMANDS, MOVED, TRAINER_COMMANDS, usage
from fusion_lab.errors import FusionLabError, FusionLabWarning
from fusion_lab.files import expand_homes
from fusion_lab.runs.memory import keep_freed_memory


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 where a trial failed or data is broken, 2 after a mistake of the user, 75 where a run makes
        room and can go on, 130 after Ctrl-C, 141 where nobody reads the output any more.
    """
    argv = sys.argv[1:] if argv is None else argv
    command = argv[0] if argv else ""
    return run(f"fusion-lab {command}".strip(), partial(_dispatch, command), argv[1:])


def _dispatch(command: str, words: list[str]) -> int:
    if command in ("", "-h", "--help"):
        print(usage("fusion-lab", "train, ablate, compare and use unified image-fusion networks", COMMANDS))
        return 0 if command else 2
    if command == "--version":
        print(f"fusion-lab {__version__}")
        return 0
    if command in MOVED:
        raise FusionLabError(MOVED[command])
    if command not in COMMANDS:
        raise FusionLabError(f"There is no command '{command}': choose one of {', '.join(COMMANDS)}.")
    keep_freed_memory(maps=command in TRAINER_COMMANDS)
    if command in TRAINER_COMMANDS:
        return import_module("fusion_lab.cli.trainer").main(command, words)
    return import_module(f"fusion_lab.cli.{command}").main(words)


def run(program: str, command: Callable[[list[str]], int], words: list[str]) -> int:
    """Run a command with its arguments; mistakes and warnings are told in one sentence. Returns the exit code.

    Args:
        program: What a user types to run it.
        command: Takes the words, each ``~/`` expanded; returns the exit code.
        words: The arguments.
    """
    # PyTorch's threads wait for each other thousands of times an image. Where other programs share the cores, those
    # that spin take the time of those they wait for: seven times the work, measured.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with warnings.catch_warnings():
        warnings.showwarning = partial(_show, program, warnings.showwarning)
        return _run(program, partial(command, [expand_homes(word) for word in words]))


def _run(program: str, command: Callable[[], int]) -> int:
    try:
        try:
            return command()
        finally:
            # What nobody reads is noticed here, not when Python ends.
            sys.stdout.flush()
    except FusionLabError as error:
        # A worker process puts its traceback in front.
        sentence = str(error).strip().rpartition(f"\n{FusionLabError.__module__}.{FusionLabError.__qualname__}: ")[2]
        print(f"{program}: error: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f" at {str(error.filename)[:200]}" if error.filename else ""
        print(f"{program}: error: {error.strerror or error}{where}.", file=sys.stderr)
        return 2


def _show(program: str, otherwise: Callable[..., None], message: Warning | str, *args: Any, **kwargs: Any) -> None:
    """Show our own warnings as a sentence, without a line of code."""
    if isinstance(message, FusionLabWarning):
        print(f"{program}: warning: {message}", file=sys.stderr, flush=True)
    else:
        otherwise(message, *args, **kwargs)


if __name__ == "__main__":
    sys.exit(main())
