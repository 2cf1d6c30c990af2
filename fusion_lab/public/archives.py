"""Taking files out of archives that come from elsewhere."""

import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile, ZipInfo

from fusion_lab.errors import FusionLabError
from fusion_lab.public.repository import Take


class BrokenArchiveError(FusionLabError):
    """What was fetched is no archive, is damaged, or must not be unpacked: it is of no use."""


def unpack(archive: Path, folder: Path, take: Take) -> list[Path]:
    """Write some files of a zip archive below a folder.

    Args:
        archive: The archive; its one top folder, which GitHub names after the commit, is left out of all paths.
        folder: An empty folder, on the disk where the files are to stay.
        take: Which files, and where to put them.

    Returns:
        The files written.

    Raises:
        BrokenArchiveError: It is no zip archive or is damaged, a name in it leads out of the folder, a file to take is
            a link, or no file is to be taken.
        FusionLabError: There is too little room, or the files cannot be written.
    """
    try:
        with ZipFile(archive) as opened:
            chosen = dict(_choose(opened, archive, take))
            if not chosen:
                raise BrokenArchiveError(
                    f"The archive {archive} holds none of the files that were looked for: it is another one, or its "
                    "home was reordered."
                )
            needed, free = sum(member.file_size for member in chosen.values()), shutil.disk_usage(folder).free
            if needed > free:
                raise FusionLabError(
                    f"The files of {archive} need {needed / 1e6:,.0f} MB, but {folder.parent} has only "
                    f"{free / 1e6:,.0f} MB left: make room or name another folder."
                )
            for path, member in chosen.items():
                _write(opened, member, folder / path)
    # Encryption makes a RuntimeError, an unknown compression a NotImplementedError.
    except (BadZipFile, EOFError, zlib.error, RuntimeError) as error:
        raise BrokenArchiveError(
            f"The file {archive} is no zip archive, or a damaged one ({error}): repeat the command to fetch it anew."
        ) from None
    except OSError as error:
        raise FusionLabError(
            f"The files of {archive} cannot be written below {folder.parent} ({error.strerror or error}): name a "
            "folder with room that you may write to."
        ) from None
    return [folder / path for path in chosen]


def _choose(opened: ZipFile, archive: Path, take: Take) -> Iterator[tuple[str, ZipInfo]]:
    """Return each member to take with the path to put it to."""
    seen = set()
    for member in opened.infolist():
        path = PurePosixPath(member.filename)
        if path.is_absolute() or ".." in path.parts or re.search(r"\\|^[A-Za-z]:", member.filename):
            raise BrokenArchiveError(
                f"The archive {archive} has a member that leads out of its folder ({member.filename}): it is not "
                "unpacked."
            )
        if member.is_dir():
            continue
        inner = "/".join(path.parts[1:])
        for pattern, replacement in take:
            if match := re.fullmatch(pattern, inner):
                if stat.S_ISLNK(member.external_attr >> 16):
                    raise BrokenArchiveError(
                        f"The archive {archive} has a link where an image should be ({member.filename}): it is not "
                        "unpacked."
                    )
                target = match.expand(replacement)
                if target in seen:
                    raise BrokenArchiveError(
                        f"The archive {archive} has two files for {target}: its home was reordered."
                    )
                seen.add(target)
                yield target, member
                break


def _write(opened: ZipFile, member: ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(member) as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy)
