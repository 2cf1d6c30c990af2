"""``fusion-lab data get``: fetch a public data set, or tell how to get it by hand."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace


def parser() -> ArgumentParser:
    """Make the parser of the command."""
    made = ArgumentParser(
        description="Fetch a public data set and unpack it as its configuration in configs/data expects it, or tell "
        "where to get it and where to unpack it.",
        exit_on_error=False,
    )
    made.add_argument("name", type=str, metavar="NAME", help="a name that `fusion-lab data list` tells")
    made.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("data"),
        metavar="DIR",
        help="folder of all data sets, as --exp.data_root",
    )
    return made


def run(args: Namespace) -> int:
    """Run the command; returns the exit code."""
    from fusion_lab.public.data_sets import find_data_set
    from fusion_lab.public.fetching import fetch_data_set

    data_set, root = find_data_set(args.name), args.output
    if data_set.command:
        print(f"`{data_set.command}`, in a clone, fetches {data_set.title} by itself, from {data_set.home}.")
        return 0
    if data_set.repository is None:
        print(f"{data_set.title} has to be got by hand.\n  From:  {data_set.home}\n  Terms: {data_set.terms}")
        print(f"  To do: {data_set.by_hand.format(root=root)}.")
        if data_set.parts:
            print(f"Then:    fusion-lab data check {root} --as {data_set.name}")
        return 0
    fetched = fetch_data_set(data_set, root, progress=sys.stderr.isatty())
    compared = "as recorded before" if fetched.compared else "recorded"
    print(
        f"{fetched.files} files of {data_set.title} are in {fetched.folder}; their checksums are {compared} in "
        f"{fetched.manifest}.\n"
        f"Terms: {data_set.terms} ({data_set.home}).\n"
        f"The archive {fetched.archive} can be removed.\n"
        f"Then:  fusion-lab data check {root} --as {data_set.name} --manifest {fetched.manifest}"
    )
    return 0
