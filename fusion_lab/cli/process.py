"""What the program asks of its process before PyTorch is loaded."""

import os


def prepare() -> None:
    """Let threads that wait sleep instead of spin, unless the user says otherwise.

    PyTorch's threads wait for each other thousands of times an image. Where other programs share the cores, those that
    spin take the time of those they wait for: seven times the work, measured.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
