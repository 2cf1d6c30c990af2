"""What commands share: making and reading their parsers, and printing."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, Namespace

from fusion_lab.cli.commands import COMMANDS, GROUPS, usage
from fusion_lab.errors import FusionLabError

_MOST_FAILURES = 10


def make_parser(command: str, more: str = "", **options: Any) -> ArgumentParser:
    """Make the parser of a command, such as ``fuse`` or ``data get``; ``more`` follows its line in the description."""
    name, _, subcommand = command.partition(" ")
    summary = GROUPS[name][subcommand] if subcommand else COMMANDS[name]
    options |= {"prog": f"fusion-lab {command}", "description": f"{summary[0].upper()}{summary[1:]}{more}."}
    return ArgumentParser(exit_on_error=False, allow_abbrev=False, **options)


def parse(parser: ArgumentParser, argv: list[str]) -> Namespace:
    """Parse the arguments of a command.

    Raises:
        FusionLabError: They are wrong, in one sentence.
    """
    try:
        return parser.parse_args(argv)
    except ArgumentError as error:
        raise FusionLabError(" ".join(str(error).split())) from None


def run_group(group: str, commands: Mapping[str, Callable[[list[str]], int]], argv: list[str]) -> int:
    """Run one command of a group, such as ``data get``, with the words after it.

    Raises:
        FusionLabError: The first word names none.
    """
    if argv[:1] in (["-h"], ["--help"]):
        print(usage(f"fusion-lab {group}", COMMANDS[group], GROUPS[group]))
        sys.exit(0)
    if not argv or argv[0] not in commands:
        found = f" Found '{argv[0]}'." if argv else ""
        raise FusionLabError(f"`fusion-lab {group}` needs one of {{{','.join(commands)}}}.{found}")
    return commands[argv[0]](argv[1:])


def chosen(args: Namespace, *names: str) -> dict[str, Any]:
    """Return some of the arguments by their names, to hand them on."""
    return {name: args[name] for name in names}


def overrides_apart(argv: list[str], command: str, own: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words before ``--``, and those after it, which override keys of experiments.

    Raises:
        FusionLabError: One is of the ``own`` keys of the command, which it gives itself.
    """
    place = argv.index("--") if "--" in argv else len(argv)
    overrides = argv[place + 1 :]
    if taken := [option.partition("=")[0] for option in overrides if option.partition("=")[0].lstrip("-") in own]:
        raise FusionLabError(f"`{command}` itself gives {taken[0]}: leave it out after `--`.")
    return argv[:place], overrides


def tell_failures(verb: str, reasons: Iterable[str]) -> int:
    """Print on stderr why things were ``Not`` done, some of many; returns the exit code, 1 where there is a reason."""
    told = list(reasons)
    for reason in told[:_MOST_FAILURES]:
        print(f"Not {verb}: {reason}", file=sys.stderr)
    if len(told) > _MOST_FAILURES:
        print(f"... and {len(told) - _MOST_FAILURES} more.", file=sys.stderr)
    return 1 if told else 0


def show(rows: Sequence[Mapping[str, Any]], title: str | None = None, unbroken: Sequence[str] = ()) -> None:
    """Print rows as a table, numbers to the right; the columns of ``unbroken`` are never wrapped."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for name in rows[0]:
        is_number = all(isinstance(row[name], int | float | None) for row in rows)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=name in unbroken)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    Console().print(table)


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value or "-")
