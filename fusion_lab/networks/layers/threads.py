"""Parts of maps side by side on a CPU: a thread for each part instead of all threads for each operation."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Threads(ExitStack):
    """As many threads as PyTorch may use, each of which computes alone; they start with the first work for them."""

    _pool: ThreadPoolExecutor | None = None

    def each(self, work: Callable[[T], None], items: Iterable[T], like: Tensor) -> None:
        """Do some work for each item, in any order, without gradient.

        Args:
            work: What to do; what it writes for two items must not overlap.
            items: The items.
            like: A map that is worked on: only those in the memory of a CPU are shared out.
        """
        items = list(items)
        if len(items) < 2 or torch.get_num_threads() < 2 or not _in_plain_memory(like):
            for item in items:
                work(item)
            return
        if self._pool is None:
            self._pool = _start(torch.get_num_threads())
            self.callback(self._pool.shutdown, cancel_futures=True)
        inference = torch.is_inference_mode_enabled()

        def alone(item: T) -> None:
            # These belong to a thread.
            with torch.inference_mode(inference), torch.no_grad():
                work(item)

        contexts = [copy_context() for _ in items]
        for _ in self._pool.map(lambda context, item: context.run(alone, item), contexts, items):
            pass


def _in_plain_memory(x: Tensor) -> bool:
    """Return whether other threads see the same in ``x``: what autocast and fake tensors do belongs to one thread."""
    return type(x) is Tensor and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu")


def _start(number: int) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(number, "strips", initializer=_compute_alone)
    # Each waits for all others, so that all have started.
    barrier = Barrier(number + 1)
    waiting = [pool.submit(barrier.wait) for _ in range(number)]
    barrier.wait()
    for each in waiting:
        each.result()
    # What a thread sets for itself, PyTorch also takes for those that begin later.
    torch.set_num_threads(number)
    return pool


def _compute_alone() -> None:
    # Whoever has not asked yet is given the number of all threads at the first operation.
    torch.get_num_threads()
    torch.set_num_threads(1)
