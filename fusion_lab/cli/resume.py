"""Finding the checkpoint to go on from."""

import sys
from pathlib import Path

from fusion_lab.cli.record import BEST, checkpoints
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.weights import read_network
from fusion_lab.seal import check_seal


def find_checkpoint(asked: str, folder: Path) -> Path:
    """Find the checkpoint that ``--ckpt_path`` names.

    Args:
        asked: A file; ``best``, that of `BestCheckpoint`; or ``last``, the newest one of the run that is sound. What is
            damaged is named on the way.
        folder: The folder of the run.

    Raises:
        FusionLabError: There is none.
    """
    if asked != "last":
        path = folder / "checkpoints" / BEST if asked == "best" else Path(asked)
        if not path.is_file():
            raise FusionLabError(f"The checkpoint {path} does not exist: check --ckpt_path.")
        check_seal(path)
        return path
    if not (found := checkpoints(folder)):
        raise FusionLabError(f"The run {folder} has no checkpoint yet: start it with `fit`, without --ckpt_path.")
    for path in found:
        try:
            check_seal(path)
            read_network(path)
        except FusionLabError as error:
            print(f"fusion-lab: warning: {error} The one before it is tried.", file=sys.stderr, flush=True)
        else:
            return path
    raise FusionLabError(
        f"None of the {len(found)} checkpoints in {folder / 'checkpoints'} can be read: start the run anew under "
        "another --exp.name, or delete its folder."
    )
