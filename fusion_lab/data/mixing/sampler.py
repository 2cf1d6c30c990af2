"""Which samples meet in which batch, as a function of the seed and the place in training alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from fusion_lab.errors import FusionLabError

_LONGEST_EPOCH = 10**8


@dataclass(frozen=True)
class Draw:
    """One sample to be made: which pair of which task, with which randomness."""

    task: str
    index: int
    seed: int


class MixedBatches(Sampler[list[Draw]]):
    """Batches of constant size in which each task has its share, as exactly as whole pairs allow.

    The places in the batches are dealt by Sainte-Laguë's method: the (j + 1)-th place of task i has the key
    ``(j + 1/2) / share_i``, and the smallest keys come first. After N places the task has had ``share_i N`` of them,
    but for ``(1 + share_i tasks) / 2``. A task of small share is therefore absent from some batches.

    An epoch ends when the task with the most pairs for its share has been passed once, and the last incomplete batch is
    dropped; tasks that run out earlier are shuffled anew each time. All ranks have equally many pairs of a task in a
    batch, which are neighbours in the task's order, so that means over ranks are means over pairs; with equal shares R
    ranks with batch B see what one sees with batch R B. Nothing is random but by (seed, epoch), so that a run resumes
    in the middle of an epoch with the batches it would have seen.

    Args:
        sizes: Number of pairs of each task.
        shares: Share of each task in the batches, greater than 0 and 1 in sum.
        batch_size: Pairs of each task in a batch of one rank on average: the batch has so many times the tasks.
        seed: Seed of the order and of every sample's augmentation.
        rank: Which part of the batches of all ranks is this process's.
        world_size: Number of processes.

    Raises:
        FusionLabError: A share is so small that its task is never seen, or that an epoch never ends.
    """

    def __init__(
        self,
        sizes: dict[str, int],
        shares: dict[str, float],
        batch_size: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.sizes = sizes
        self.shares = {task: shares[task] for task in sizes}
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0
        # Lightning calls set_epoch on the `sampler` of a batch sampler.
        self.sampler = self
        self._dealt = self._deal()

    def __len__(self) -> int:
        return len(self._dealt) - 1

    def set_epoch(self, epoch: int) -> None:
        """Start at the beginning of ``epoch``, unless that is where the sampler already is."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume(self, epoch: int, batch: int) -> None:
        """Let the next pass start in ``epoch`` after its first ``batch`` batches."""
        self.epoch, self.start = epoch, batch

    def __iter__(self) -> Iterator[list[Draw]]:
        # Not a generator: the place is taken when the pass begins, not when its first batch is asked for.
        orders = {task: self._order(task, int(dealt)) for task, dealt in zip(self.sizes, self._dealt[-1], strict=True)}
        return self._rest(orders, self.start)

    def _rest(self, orders: dict[str, NDArray[np.int64]], start: int) -> Iterator[list[Draw]]:
        # Only here is the place used up: a DataLoader with worker processes begins its first pass twice.
        if self.start == start:
            self.start = 0
        for batch in range(start, len(self)):
            yield self._batch(orders, batch)

    def _deal(self) -> NDArray[np.int64]:
        """Return how many pairs of each task one rank has had before each batch, ``(batches + 1, tasks)``."""
        places = self.batch_size * len(self.sizes)
        batches = max(1, self._epoch_pairs() // (places * self.world_size))
        # No task gets more of the first places.
        most = [int(share * (batches * places + len(self.sizes)) + 1) for share in self.shares.values()]
        keys = np.concatenate([(np.arange(n) + 0.5) / s for n, s in zip(most, self.shares.values(), strict=True)])
        tasks = np.repeat(np.arange(len(most)), most)
        # Rounded, what should be a tie is one whatever the last bits of the shares; a stable sort leaves ties in the
        # order of the tasks.
        winners = tasks[np.argsort(keys.round(6), kind="stable")][: batches * places].reshape(batches, places)
        counts = np.stack([(winners == number).sum(axis=1) for number in range(len(most))], axis=1)
        for (task, share), count in zip(self.shares.items(), counts.sum(axis=0), strict=True):
            if count == 0:
                raise FusionLabError(
                    f"Task '{task}' would never be seen: its share of {share:.2g} gives it no pair in an epoch of "
                    f"{batches} batches. Choose another `data.init_args.mixing`, fewer devices or a smaller batch."
                )
        return np.concatenate([np.zeros((1, len(most)), np.int64), counts.cumsum(axis=0)])

    def _epoch_pairs(self) -> int:
        """Return the number of pairs, of all tasks and ranks together, until each task has been passed once."""
        needed = {task: size / self.shares[task] if self.shares[task] else inf for task, size in self.sizes.items()}
        slowest = max(needed, key=lambda task: needed[task])
        if needed[slowest] > _LONGEST_EPOCH:
            raise FusionLabError(
                f"The share of task '{slowest}', {self.shares[slowest]:.2g}, is too small: an epoch, which shows each "
                f"of its pairs once, would have {needed[slowest]:.2g} pairs. Raise it in `data.init_args.mixing`."
            )
        return round(needed[slowest])

    def _order(self, task: str, dealt: int) -> NDArray[np.int64]:
        """Return the (pair, seed) rows of a task in this epoch, of which each rank has ``dealt``."""
        needed, size = dealt * self.world_size, self.sizes[task]
        generator = np.random.default_rng([self.seed, self.epoch, crc32(task.encode())])
        passes = [generator.permutation(size) for _ in range(-(-needed // size))]
        indices = np.concatenate(passes)[:needed]
        seeds = generator.integers(2**31, size=needed)
        return np.stack([indices, seeds], axis=1)

    def _batch(self, orders: dict[str, NDArray[np.int64]], batch: int) -> list[Draw]:
        draws = []
        for (task, order), before, after in zip(
            orders.items(), self._dealt[batch], self._dealt[batch + 1], strict=True
        ):
            count = after - before
            first = before * self.world_size + count * self.rank
            draws += [Draw(task, index, seed) for index, seed in order[first : first + count].tolist()]
        return draws
