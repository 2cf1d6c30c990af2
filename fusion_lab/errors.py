"""The one kind of error that is the user's to mend."""


class FusionLabError(ValueError):
    """Bad input, told in one sentence: what is wrong, where, and how to mend it.

    The command line prints the sentence alone and exits with code 2.
    """


class FusionLabWarning(UserWarning):
    """What the user should know of the input while the work goes on, in one sentence."""


REQUEUE = 75
"""The exit code of a run that was asked to make room, EX_TEMPFAIL of sysexits.h: begin it again, and it goes on."""
