"""Finding the checkpoint to go on from."""

import sys
from pathlib import Path

import torch

from fusion_lab.cli.record import BEST, checkpoints
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.weights import read_network
from fusion_lab.seal import check_seal


def check_end(checkpoint: Path, folder: Path, max_steps: int, max_epochs: int | None) -> int:
    """Refuse to go on from a checkpoint where nothing would be trained; a run itself that is at its end may stay so.

    Args:
        checkpoint: The checkpoint.
        folder: The folder of the run.
        max_steps: The steps that the run is to have; -1 where they are not limited.
        max_epochs: The epochs that it is to have; -1 or None where they are not limited.

    Returns:
        The steps that are done.

    Raises:
        FusionLabError: The checkpoint is that of another run and has done all that is asked for; or more is done than
            is asked for, so that the configuration would tell what was not done.
    """
    # It has been read before, and found to be a checkpoint of ours.
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    steps = int(stored.get("global_step", 0))
    place = stored.get("loops", {}).get("fit_loop", {}).get("epoch_progress", {}).get("current", {})
    epochs = int(place.get("processed", 0))
    own = checkpoint.resolve().is_relative_to(folder.resolve())
    for done, most, noun in ((steps, max_steps, "steps"), (epochs, max_epochs or -1, "epochs")):
        if 0 <= most < done or (done == most and not own):
            asked = "as many as" if done == most else "more than"
            raise FusionLabError(
                f"Nothing would be trained: {checkpoint} has done {done} {noun}, {asked} `trainer.max_{noun}` asks for "
                f"({most}). Set it to the number of all {noun}, those that are done included."
            )
    return steps


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
