"""What results were made with: versions, commit, time."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from fusion_lab import __version__


def environment(argv: Sequence[str]) -> dict[str, Any]:
    """Return the command, the time, the commit of the code and the version of every package."""
    return {
        "command": ["fusion-lab", *argv],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "fusion_lab": __version__,
        "commit": _commit(),
        "python": sys.version.split()[0],
        # Every look at the metadata of a package reads its file again.
        "packages": dict(sorted((m["Name"], m["Version"]) for d in distributions() if (m := d.metadata)["Name"])),
    }


def _commit() -> str | None:
    """Return the commit of the source tree, marked where files differ from it; None outside a clone."""
    root = Path(__file__).parents[1]
    # Installed into the environment of another project, git would tell the commit of that one.
    if not (root / ".git").exists():
        return None
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match", ""],
            cwd=root, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()
