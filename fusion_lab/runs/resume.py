"""Finding the checkpoint to go on from."""

import copy
import sys
from pathlib import Path

from lightning import LightningDataModule

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.stored import StoredNetwork, read_network
from fusion_lab.networks import FusionNetwork
from fusion_lab.runs.result import BEST, checkpoints
from fusion_lab.seal import check_seal
from fusion_lab.weighting import LossWeighting


def check_checkpoint(
    checkpoint: Path,
    stored: StoredNetwork,
    network: FusionNetwork,
    weighting: LossWeighting | None = None,
    data: LightningDataModule | None = None,
) -> None:
    """Refuse what is no checkpoint of a run of this network, and, to train on, of this weighting.

    Args:
        checkpoint: The file.
        stored: What it holds.
        network: The network of the configuration.
        weighting: Its weighting of the losses; not looked at unless given.
        data: Its data, whose tasks are weighed.

    Raises:
        FusionLabError: It is none.
    """
    if not stored.kind.startswith("Lightning"):
        raise FusionLabError(f"The file {checkpoint} holds a network, but no checkpoint of a run: check --ckpt_path.")
    given = {name: tuple(tensor.shape) for name, tensor in stored.tensors.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    if differing := [name for name in {**wanted, **given} if wanted.get(name) != given.get(name)]:
        first = differing[0]
        raise FusionLabError(
            f"The checkpoint {checkpoint} is of another network: {len(differing)} tensors differ, such as {first} "
            f"({given.get(first, 'missing')} in the file, {wanted.get(first, 'missing')} in the configuration)."
        )
    if weighting is not None and (tasks := getattr(data, "tasks", None)) is not None:
        _check_weighting(checkpoint, stored, weighting, tasks)


def _check_weighting(checkpoint: Path, stored: StoredNetwork, weighting: LossWeighting, tasks: list[str]) -> None:
    """Refuse a checkpoint of another weighting than that of the configuration."""
    ready = copy.deepcopy(weighting)
    ready.setup(tasks)
    wanted = {f"weighting.{name}" for name in ready.state_dict()}
    given = {name for name in stored.dropped if name.startswith("weighting.")}
    if differing := sorted(wanted ^ given):
        raise FusionLabError(
            f"The checkpoint {checkpoint} does not fit the configuration: it is of another weighting of the losses "
            f"({', '.join(differing)})."
        )


def check_end(checkpoint: Path, stored: StoredNetwork, folder: Path, max_steps: int, max_epochs: int | None) -> None:
    """Refuse to go on from a checkpoint where nothing would be trained; a run itself that is at its end may stay so.

    Args:
        checkpoint: The file.
        stored: What it holds.
        folder: The folder of the run.
        max_steps: The steps that the run is to have; -1 where they are not limited.
        max_epochs: The epochs that it is to have; -1 or None where they are not limited.

    Raises:
        FusionLabError: The checkpoint is that of another run and has done all that is asked for; or more is done than
            is asked for, so that the configuration would tell what was not done.
    """
    own = checkpoint.resolve().is_relative_to(folder.resolve())
    for done, most, noun in ((stored.steps, max_steps, "steps"), (stored.epochs, max_epochs or -1, "epochs")):
        if 0 <= most < done or (done == most and not own):
            asked = "as many as" if done == most else "more than"
            raise FusionLabError(
                f"Nothing would be trained: {checkpoint} has done {done} {noun}, {asked} `trainer.max_{noun}` asks for "
                f"({most}). Set it to the number of all {noun}, those that are done included."
            )


def find_checkpoint(asked: str, folder: Path) -> tuple[Path, StoredNetwork]:
    """Find and read the checkpoint that ``--ckpt_path`` names.

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
        return path, read_network(path)
    if not (found := checkpoints(folder)):
        raise FusionLabError(f"The run {folder} has no checkpoint yet: start it with `fit`, without --ckpt_path.")
    for path in found:
        try:
            check_seal(path)
            return path, read_network(path)
        except FusionLabError as error:
            print(f"fusion-lab: warning: {error} The one before it is tried.", file=sys.stderr, flush=True)
    raise FusionLabError(
        f"None of the {len(found)} checkpoints in {folder / 'checkpoints'} can be read: start the run anew under "
        "another --exp.name, or delete its folder."
    )
