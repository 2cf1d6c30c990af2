"""``fusion-lab data check``: whether data sets on disk are whole, can be read, and are the same as before."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

if TYPE_CHECKING:
    from rich.console import Console

    from fusion_lab.data.checking import Checked
    from fusion_lab.data.recognition import FoundSet
    from fusion_lab.public.manifest import Sums


def parser() -> ArgumentParser:
    """Make the parser of the command."""
    made = ArgumentParser(
        description="Count the pairs of data sets, read every image, and write or compare a list of checksums. The "
        "exit code is 1 where something is wrong; a data set of which only a part is there is not wrong.",
        exit_on_error=False,
    )
    made.add_argument("folder", type=Path, metavar="DIR", help="folder of all data sets, or of one")
    made.add_argument("--as", type=str | None, metavar="NAME", help="look for this data set only; guessed otherwise")
    made.add_argument(
        "--manifest",
        type=Path | None,
        metavar="FILE",
        help="list of SHA-256 as of sha256sum, by paths below DIR: compared if it is there, else written",
    )
    return made


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def run(args: Namespace) -> int:
    """Run the command; returns the exit code."""
    from rich.console import Console

    from fusion_lab.data.checking import check, first_few
    from fusion_lab.data.recognition import recognise
    from fusion_lab.public.manifest import digest

    base, found = recognise(args.folder, args["as"])
    results, sums = check(found, base, progress=sys.stderr.isatty())
    console = Console()
    _show(results, console)
    wrong = False
    for result in results:
        for line in first_few(result.problems):
            wrong = True
            console.print(f"{result.found.folder}: {line}", markup=False, highlight=False, soft_wrap=True)
    if args.manifest:
        lines = _manifest(args.manifest, sums, base, found if args["as"] else [])
        for line in first_few(lines):
            wrong = True
            console.print(f"{args.manifest}: {line}", markup=False, highlight=False, soft_wrap=True)
    print(f"{len(sums)} images, all together with the SHA-256 {digest(sums)}.")
    return int(wrong)


def _show(results: "list[Checked]", console: "Console") -> None:
    from rich.table import Table

    table = Table("data set", "folder", "task", "pairs", "stated", "state", "problems")
    table.columns[1].no_wrap = True
    for column in (3, 4, 6):
        table.columns[column].justify = "right"
    for result in results:
        splits = ", ".join(f"{split} {number:,}" for split, number in result.pairs.items())
        table.add_row(
            result.found.name or "unknown",
            result.found.folder,
            result.found.task or "-",
            splits or "-",
            "-" if result.found.stated is None else f"{result.found.stated:,}",
            result.state,
            str(len(result.problems)),
        )
    console.print(table)


def _manifest(file: Path, sums: "Sums", base: Path, only: "list[FoundSet]") -> list[str]:
    """Write the checksums where there are none, else tell what differs.

    Args:
        file: The manifest.
        sums: The checksums of all images that were looked at.
        base: The folder that paths are told from.
        only: The data sets whose files alone are compared; empty for all files that the manifest has.
    """
    from fusion_lab.data.checking import sums_of
    from fusion_lab.public.manifest import differences, read_manifest, write_manifest

    if not file.exists():
        write_manifest(file, sums, f"{len(sums)} images")
        print(f"Wrote the checksums to {file}.")
        return []
    before = read_manifest(file)
    if only:
        folders = tuple(f"{found.folder}/" for found in only)
        before = {path: value for path, value in before.items() if path.startswith(folders)}
    told = differences(before, sums | sums_of(before.keys() - sums.keys(), base))
    print(f"Compared {len(before)} checksums with {file}: {f'{len(told)} differ' if told else 'all are the same'}.")
    return told
