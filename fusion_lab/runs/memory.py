"""How a program keeps its memory."""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
"""Names of `mallopt` in glibc's ``malloc.h``."""


def keep_freed_memory(maps: bool = True) -> None:
    """Keep what is freed for what comes next, instead of giving it back to the system; on glibc, elsewhere nothing.

    The system fills every page with zeros that it gives, and glibc asks for large tensors anew each time: in a training
    on a CPU, which makes the same tensors in each step, that is up to a sixth of the time. It holds for the whole
    process, so programs call it when they start.

    Args:
        maps: Keep tensors of 32 MiB and more too, as a training should. Who fuses large images needs other maps each
            time, and gives them back; what is kept is at most 256 MiB then.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    large = [(_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, 2**26)]
    small = [(_MMAP_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**28), (_TOP_PAD, 2**24)]
    for name, value in large if maps else small:
        mallopt(name, value)
