"""The one kind of error that is the user's to mend."""

from collections.abc import Sequence


class FusionLabError(ValueError):
    """Bad input, told in one sentence: what is wrong, where, and how to mend it.

    The command line prints the sentence alone and exits with code 2.
    """


class FusionLabWarning(UserWarning):
    """What the user should know of the input while the work goes on, in one sentence."""


REQUEUE = 75
"""The exit code of a run that was asked to make room, EX_TEMPFAIL of sysexits.h: begin it again, and it goes on."""


UNGUARDED = (
    "The processes that should work ended at once: in a script, put the call below `if __name__ == '__main__':`, as "
    "they run the script too."
)
"""What is told where processes that Python spawns come to nothing."""


def one_line(error: BaseException, longest: int = 300) -> str:
    """Return what an error of another program says in one line, cut to so many letters; its kind if it says nothing."""
    return " ".join(str(error).split())[:longest] or type(error).__name__


def first_few(lines: Sequence[str], most: int = 5) -> list[str]:
    """Return the first of some lines or names, and how many more there are."""
    return [*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])]
