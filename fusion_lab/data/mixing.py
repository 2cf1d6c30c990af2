"""Mixing tasks: which samples meet in which batch, as a function of the seed and the place in training alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from torch.utils.data import Sampler


@dataclass(frozen=True)
class Draw:
    """One sample to be made: which pair of which task, with which randomness."""

    task: str
    index: int
    seed: int


class EqualMixing(Sampler[list[Draw]]):
    """Batches with an equal share of each task (``mixed_equal`` of TITA's release).

    An epoch passes once over the longest task; shorter ones are shuffled anew each time they run out. Ranks cut the
    same global batches into slices, so that R ranks with batch B see what one sees with batch R B. Nothing is random
    but by (seed, epoch), so that a run resumes in the middle of an epoch with the batches it would have seen.

    Args:
        sizes: Number of pairs of each task.
        batch_size: Pairs of each task in a batch of one rank.
        seed: Seed of the order and of every sample's augmentation.
        rank: Which slice of the global batches is this process's.
        world_size: Number of processes.
    """

    def __init__(
        self, sizes: dict[str, int], batch_size: int, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.sizes = sizes
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.start = 0
        # Lightning calls set_epoch on the `sampler` of a batch sampler.
        self.sampler = self

    @property
    def global_batch_size(self) -> int:
        """Pairs of each task in a batch of all ranks together."""
        return self.batch_size * self.world_size

    def __len__(self) -> int:
        return max(1, max(self.sizes.values()) // self.global_batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Start at the beginning of ``epoch``, unless that is where the sampler already is."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume(self, epoch: int, batch: int) -> None:
        """Let the next pass start in ``epoch`` after its first ``batch`` batches."""
        self.epoch, self.start = epoch, batch

    def __iter__(self) -> Iterator[list[Draw]]:
        # Not a generator: the place is taken when the pass begins, not when its first batch is asked for.
        return self._rest({task: self._order(task) for task in self.sizes}, self.start)

    def _rest(self, orders: dict[str, list[tuple[int, int]]], start: int) -> Iterator[list[Draw]]:
        # Only here is the place used up: a DataLoader with worker processes begins its first pass twice.
        if self.start == start:
            self.start = 0
        for batch in range(start, len(self)):
            yield self._batch(orders, batch)

    def _order(self, task: str) -> list[tuple[int, int]]:
        """Give the (pair, seed) sequence of a task in this epoch."""
        needed, size = len(self) * self.global_batch_size, self.sizes[task]
        generator = np.random.default_rng([self.seed, self.epoch, crc32(task.encode())])
        passes = [generator.permutation(size) for _ in range(-(-needed // size))]
        indices = np.concatenate(passes)[:needed]
        seeds = generator.integers(2**31, size=needed)
        return list(zip(indices.tolist(), seeds.tolist(), strict=True))

    def _batch(self, orders: dict[str, list[tuple[int, int]]], batch: int) -> list[Draw]:
        first = batch * self.global_batch_size + self.rank * self.batch_size
        return [
            Draw(task, index, seed)
            for task, order in orders.items()
            for index, seed in order[first : first + self.batch_size]
        ]
