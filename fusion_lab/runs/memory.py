"""How a program that trains keeps its memory."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
"""Names of `mallopt` in glibc's ``malloc.h``."""


def keep_freed_memory() -> None:
    """Keep what is freed for what comes next, instead of giving it back to the system; on glibc, elsewhere nothing.

    glibc maps large tensors anew each time, and the system fills every page of them with zeros: in a training on a CPU,
    which makes the same tensors in each step, that is up to a sixth of the time. It holds for the whole process,
    so programs call it when they start.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 2**26)):
        mallopt(name, value)
