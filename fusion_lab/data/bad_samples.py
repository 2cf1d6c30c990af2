"""Training that goes on without pairs that cannot be read."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar
from zlib import crc32

import numpy as np
import torch
from torch.multiprocessing import Lock

from fusion_lab.data.mixing import Draw
from fusion_lab.errors import FusionLabError

T = TypeVar("T")


class BadSamples:
    """Puts another pair of the same task in the place of one that cannot be read.

    Which one follows from the bad pair alone: batches keep their size, and workers, ranks and resuming change nothing.
    What is known to be bad is shared with worker processes and not read again; each rank has its own knowledge.

    Args:
        sizes: Number of pairs of each task.
        limit: End the run when more pairs than so many, of all tasks together, are bad.
    """

    def __init__(self, sizes: dict[str, int], limit: int) -> None:
        self.limit = limit
        # Lists would be copied into worker processes: only shared memory lets them tell each other.
        self._bad = {task: torch.zeros(size, dtype=torch.bool).share_memory_() for task, size in sizes.items()}
        self._noting = Lock()

    def count(self) -> int:
        """Return the number of pairs that are known to be bad."""
        return sum(int(flags.sum()) for flags in self._bad.values())

    def read(self, draw: Draw, read: Callable[[Draw], T]) -> T:
        """Read the sample of ``draw``, or of the first pair in its place that can be read.

        Args:
            draw: What is asked for; its seed stays.
            read: Reads a sample. A `FusionLabError` or `OSError` from it makes the pair a bad one.

        Raises:
            FusionLabError: More pairs than allowed are bad, or all of the task.
        """
        for index in self._candidates(draw):
            if self._bad[draw.task][index]:
                continue
            try:
                return read(replace(draw, index=index))
            except (FusionLabError, OSError) as error:
                self._note(draw.task, index, str(error))
        size = len(self._bad[draw.task])
        raise FusionLabError(f"None of the {size} training pairs of task '{draw.task}' can be read: check the files.")

    def leave_out(self, task: str, index: int, reason: str) -> None:
        """Note a pair that is known to be bad before it is asked for.

        Raises:
            FusionLabError: There are too many.
        """
        if not self._bad[task][index]:
            self._note(task, index, reason)

    def _candidates(self, draw: Draw) -> Iterator[int]:
        """Return the pair itself, then all pairs of its task in an order of its own: stand-ins come from everywhere."""
        yield draw.index
        generator = np.random.default_rng([crc32(draw.task.encode()), draw.index])
        yield from generator.permutation(len(self._bad[draw.task])).tolist()

    def _note(self, task: str, index: int, reason: str) -> None:
        """Remember a bad pair, and tell it once.

        Raises:
            FusionLabError: There are too many.
        """
        with self._noting:
            known = bool(self._bad[task][index])
            self._bad[task][index] = True
            count = self.count()
        if count > self.limit:
            raise FusionLabError(
                f"{count} training pairs cannot be read, more than `data.init_args.bad_sample_limit` allows "
                f"({self.limit}). The last: {reason}"
            )
        if not known:
            warnings.warn(f"Another pair of task '{task}' is taken instead: {reason}", stacklevel=2)
