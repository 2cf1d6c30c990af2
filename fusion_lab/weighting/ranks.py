"""What the processes of one training share, so that each weighs the tasks alike."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed


def mean_over_ranks(values: Tensor) -> Tensor:
    """Average a tensor over all processes; it is given back as it is where there is one."""
    if not _several():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def over_ranks(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return each loss with its mean over all ranks as value and its own gradient, which DDP averages.

    Every rank then weighs the tasks alike, as one process with the whole batch would. All have the same tasks.
    """
    if not _several():
        return losses
    means = mean_over_ranks(torch.stack([loss.detach() for loss in losses.values()]))
    return {task: mean + (loss - loss.detach()) for mean, (task, loss) in zip(means, losses.items(), strict=True)}


@contextmanager
def noise_of_first_rank(device: torch.device) -> Iterator[None]:
    """Let every process draw the random numbers that the first one draws."""
    if not _several():
        yield
        return
    seed = torch.randint(2**31, (1,), device=device)
    distributed.broadcast(seed, src=0)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(int(seed))
        yield


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
