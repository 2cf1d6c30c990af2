"""``fusion-lab``: finds the command and tells errors in one sentence."""

import os
import re
import sys
import warnings
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from fusion_lab import __version__
from fusion_lab.cli.commands import COMMANDS
from fusion_lab.cli.process import prepare
from fusion_lab.errors import FusionLabError, FusionLabWarning
from fusion_lab.files import expand_home

_MOVED = {
    "cifar100": "`fusion-lab cifar100` is an example of the repository now: `python -m examples.cifar100`, in a clone, "
    "with the same options."
}
_LONGEST_NAME = 200
# In lists and dictionaries a text begins after one of these.
_HOME_INSIDE = re.compile(r"""(?<=[\s"'\[{,:])~[^/\s]*/""")
_TRAINER_COMMANDS = ("fit", "validate", "test", "predict")


def usage() -> str:
    """Return the overview of all commands."""
    rows = "\n".join(f"  {name:<9} {summary}" for name, summary in COMMANDS.items())
    return (
        "usage: fusion-lab COMMAND [options]\n\n"
        "Train, ablate, compare and use unified image-fusion networks.\n\n"
        f"commands:\n{rows}\n\n"
        "`fusion-lab COMMAND --help` tells the options of a command."
    )


def main(argv: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit code: 0, 1 where a trial failed or data is broken, 2 after a mistake of the user, 75 where a run makes
        room and can go on, 130 after Ctrl-C.
    """
    prepare()
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(f"fusion-lab {__version__}")
        return 0
    return run(f"fusion-lab {argv[0]}", partial(_dispatch, argv[0]), argv[1:])


def _dispatch(command: str, words: list[str]) -> int:
    if command in _MOVED:
        raise FusionLabError(_MOVED[command])
    if command not in COMMANDS:
        raise FusionLabError(f"There is no command '{command}': choose one of {', '.join(COMMANDS)}.")
    if command in _TRAINER_COMMANDS:
        return import_module("fusion_lab.cli.trainer").main(command, words)
    return import_module(f"fusion_lab.cli.{command}").main(words)


def run(program: str, command: Callable[[list[str]], int], words: list[str]) -> int:
    """Run a command with the words of its command line; mistakes and warnings are told in one sentence.

    Args:
        program: What a user types to run it.
        command: Takes the words, each ``~/`` expanded; returns the exit code.
        words: The arguments.

    Returns:
        The exit code, as `main`.
    """
    with warnings.catch_warnings():
        warnings.showwarning = partial(_show, program, warnings.showwarning)
        return _run(program, partial(command, [_expanded(word) for word in words]))


def _run(program: str, command: Callable[[], int]) -> int:
    try:
        return command()
    except FusionLabError as error:
        print(f"{program}: error: {_sentence(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read the output, such as `head`, has seen enough; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        where = f" at {str(error.filename)[:_LONGEST_NAME]}" if error.filename else ""
        print(f"{program}: error: {error.strerror or error}{where}.", file=sys.stderr)
        return 2


def _expanded(word: str) -> str:
    """Put the home folder in the place of ``~/`` in an argument: a shell does so at its start alone."""
    name, sign, value = word.partition("=")
    if (value or word).startswith(("{", "[")):
        return _HOME_INSIDE.sub(lambda match: expand_home(match[0]), word)
    return f"{name}={expand_home(value)}" if sign else expand_home(word)


def _show(program: str, otherwise: Callable[..., None], message: Warning | str, *args: Any, **kwargs: Any) -> None:
    """Show our own warnings as a sentence, without a line of code."""
    if isinstance(message, FusionLabWarning):
        print(f"{program}: warning: {message}", file=sys.stderr, flush=True)
    else:
        otherwise(message, *args, **kwargs)


def _sentence(error: FusionLabError) -> str:
    """Return the sentence alone where a worker process has put its traceback in front."""
    name = f"{FusionLabError.__module__}.{FusionLabError.__qualname__}"
    return str(error).strip().rpartition(f"\n{name}: ")[2]


if __name__ == "__main__":
    sys.exit(main())
