"""Writing files so that none is ever found half-written."""

import csv
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fusion_lab.errors import FusionLabError

_HOME = re.compile(r"~[^/\s]*/")
# In lists and dictionaries a text begins after one of these.
_HOME_INSIDE = re.compile(r"""(?<=[\s"'\[{,:])~[^/\s]*/""")


def expand_home(text: str) -> str:
    """Put the home folder in the place of ``~/`` or ``~user/`` at the start of a text; others stay as they are."""
    return os.path.expanduser(text) if _HOME.match(text) else text  # noqa: PTH111 - a text need not be a path


def expand_homes(word: str) -> str:
    """Put the home folder in the place of each ``~/`` of an argument: a shell does so at its start alone."""
    if _HOME.match(word):
        return expand_home(word)
    name, sign, value = word.partition("=")
    if (value or word).startswith(("{", "[")):
        return _HOME_INSIDE.sub(lambda match: expand_home(match[0]), word)
    return f"{name}={expand_home(value)}" if sign else expand_home(word)


def make_folder(folder: Path) -> Path:
    """Make ``folder`` with its parents and return it.

    Raises:
        FusionLabError: A file stands in its place, or the rights are missing.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FusionLabError(
            f"The output folder {folder} cannot be made because a file stands in its place: "
            "name another folder or move the file."
        ) from None
    except OSError as error:
        raise FusionLabError(
            f"The output folder {folder} cannot be made ({error.strerror}): name a folder that you may write to."
        ) from None
    return folder


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Return a temporary path beside ``target``; rename it to ``target`` at the end, delete it after an error.

    The temporary name keeps the suffix, so that image writers choose the right format.

    Raises:
        FusionLabError: The folder cannot be made or written to.
    """
    make_folder(target.parent)
    try:
        is_folder = target.is_dir()
    except OSError as error:
        raise FusionLabError(f"The output file {target} cannot be written ({error.strerror}): name another.") from None
    if is_folder:
        raise FusionLabError(f"The output file {target} is a folder: name a file.")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    except OSError as error:
        raise FusionLabError(
            f"No file can be written to {target.parent} ({error.strerror}): name a folder that you may write to."
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; the result gets the rights of an ordinary new file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write a text by `atomic_path`."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_rows(target: Path, headings: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a table as CSV by `atomic_path`."""
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(headings)
        writer.writerows(rows)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        FusionLabError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FusionLabError(f"The file {path} cannot be read ({error.strerror}): check its rights.") from None


@contextmanager
def working_folder(parent: Path, name: str) -> Iterator[Path]:
    """Return an empty hidden folder in another, on the disk of the result, and remove it at the end.

    Raises:
        FusionLabError: It cannot be made.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=make_folder(parent)))
    except OSError as error:
        raise FusionLabError(
            f"Nothing can be written to {parent} ({error.strerror}): name a folder that you may write to."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def walk(folder: Path) -> Iterator[Path]:
    """Return all files below a folder, in order, links to folders followed unless they lead back to where they lie in.

    What is hidden, with a name that begins with a dot, is passed over.

    Raises:
        OSError: A folder cannot be looked through.
    """
    yield from _walk(folder, ())


def _walk(folder: Path, inside: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in inside:
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, (*inside, here))
        else:
            yield path


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Keep a folder for this process alone, which makes it; the end of the process, however it ends, frees it.

    Raises:
        FusionLabError: Another process uses it.
    """
    lock = FileLock(make_folder(folder) / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise FusionLabError(
            f"Another command is running in {folder}: wait until it has ended, or name another --output."
        ) from None
    except (OSError, NotImplementedError):
        # Some file systems of clusters know no locks: there it is not kept.
        pass
    try:
        yield
    finally:
        lock.release()


def remove_leftovers(folder: Path, suffix: str) -> None:
    """Delete the temporary files of `atomic_path` that killed processes have left in a folder."""
    for path in folder.glob(f".*-*{suffix}"):
        path.unlink(missing_ok=True)
