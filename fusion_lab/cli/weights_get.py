"""``fusion-lab weights get``: fetch published weights and convert them at once."""

import sys
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from fusion_lab.errors import FusionLabError


def parser() -> ArgumentParser:
    """Make the parser of the command."""
    made = ArgumentParser(
        description="Fetch published weights from their public repository, make sure that they are the known ones, and "
        "write them as .safetensors of fusion_lab.",
        exit_on_error=False,
    )
    made.add_argument("name", type=str, metavar="NAME", help="a name that `fusion-lab weights list` tells")
    made.add_argument(
        "-o",
        "--output",
        type=Path | None,
        metavar="FILE",
        help=".safetensors file; in the cache of the user, where `--weights NAME` finds it, unless given",
    )
    return made


# PyTorch takes seconds to load: `--help` and mistakes in the arguments need not wait for it.


def run(args: Namespace) -> int:
    """Run the command; returns the exit code."""
    from fusion_lab.public.fetching import working_folder
    from fusion_lab.public.weights import cached_weights, fetch_weights, find_public_weights

    weights = find_public_weights(args.name)
    target = args.output or cached_weights(args.name)
    if target.suffix != ".safetensors":
        raise FusionLabError(f"The output {target} should end in .safetensors.")
    with working_folder(target.parent, "weights") as folder:
        file = fetch_weights(weights, folder, progress=sys.stderr.isatty())

        from fusion_lab.inference.weights import convert

        convert(file, target, weights.release)
    repository = weights.repository
    print(
        f"Weights {args.name} of {repository.home} at {repository.commit} are in {target}.\n"
        f"Terms: {weights.terms}. The SHA-256 of the original is {weights.sha256}, as known."
    )
    return 0
