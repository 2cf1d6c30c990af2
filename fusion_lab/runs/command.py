"""The one command by which a training is started in a process of its own."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

FIT = (sys.executable, "-m", "fusion_lab.cli.main", "fit")


def fit_options(values: Mapping[str, Any] | Sequence[tuple[str, Any]]) -> list[str]:
    """Write keys and values as ``fusion-lab fit`` takes them: ``--trainer.max_steps=3``, and ``-c FILE``.

    Args:
        values: The values by their keys; a sequence of both where keys come several times.
    """
    words: list[str] = []
    for key, value in values.items() if isinstance(values, Mapping) else values:
        words += ["-c", str(value)] if key == "c" else [f"--{key}={value}"]
    return words
