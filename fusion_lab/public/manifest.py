"""Lists of the SHA-256 of files, as ``sha256sum`` writes and checks them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from fusion_lab.errors import FusionLabError
from fusion_lab.files import write_text

Sums = dict[str, str]
"""SHA-256 in hexadecimal digits by path, with ``/`` between folders."""

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


def read_manifest(file: Path) -> Sums:
    """Read a list of checksums; empty lines and lines that begin with ``#`` say nothing.

    Raises:
        FusionLabError: It cannot be read or is something else.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FusionLabError(f"The manifest {file} cannot be read ({error.strerror}): check the path.") from None
    except UnicodeDecodeError:
        raise FusionLabError(f"The manifest {file} is no text: name a list as `sha256sum` writes it.") from None
    sums = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise FusionLabError(
                f"Line {number} of the manifest {file} is no checksum and path: name a list as `sha256sum` writes it."
            )
        sums[match[2].removeprefix("./")] = match[1].lower()
    return sums


def write_manifest(file: Path, sums: Mapping[str, str], title: str) -> None:
    """Write a list of checksums, in the order of the paths, under a line of words.

    Raises:
        FusionLabError: It cannot be written.
    """
    lines = [f"# {title}", *(f"{sums[path]}  {path}" for path in sorted(sums))]
    try:
        write_text(file, "\n".join(lines) + "\n")
    except OSError as error:
        raise FusionLabError(f"The manifest {file} cannot be written ({error.strerror}).") from None


def digest(sums: Mapping[str, str]) -> str:
    """Return one checksum that stands for all files and their paths, whatever their order."""
    return hashlib.sha256("".join(f"{sums[path]}  {path}\n" for path in sorted(sums)).encode()).hexdigest()


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Tell how files differ from a list, one line a file: changed, missing, or not listed."""

    def told(path: str) -> str:
        what = "not listed" if path not in before else "missing" if path not in now else "changed"
        return f"{what}: {path}"

    return [told(path) for path in sorted(before.keys() | now.keys()) if before.get(path) != now.get(path)]
