"""The one kind of error that is the user's to mend."""


class FusionLabError(ValueError):
    """Bad input, told in one sentence: what is wrong, where, and how to mend it.

    The command line prints the sentence alone and exits with code 2.
    """


class FusionLabWarning(UserWarning):
    """What the user should know of the input while the work goes on, in one sentence."""
