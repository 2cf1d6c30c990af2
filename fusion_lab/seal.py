"""A checksum inside a checkpoint, by which damage is noticed."""

import hashlib
from pathlib import Path

from fusion_lab.errors import FusionLabError

_MARK = b"sha256:"
_COMMENT = len(_MARK) + 2 * hashlib.sha256().digest_size
_LENGTH = 2
_END_OF_ARCHIVE, _END_SIZE = b"PK\x05\x06", 22
_CHUNK = 2**20


def seal(path: Path) -> None:
    """Put the SHA-256 of a file that `torch.save` has written into the file: it is a zip archive, which has a comment.

    `torch.load` and everything else that reads zip archives read it as before.

    Raises:
        ValueError: The file is no zip archive, or has a comment.
    """
    with path.open("r+b") as file:
        file.seek(-_END_SIZE, 2)
        end = file.read()
        if not end.startswith(_END_OF_ARCHIVE) or any(end[-_LENGTH:]):
            raise ValueError(f"{path} is no zip archive without a comment.")
        comment = _MARK + _digest(path, 0)
        # The last field of the archive is the length of the comment that follows.
        file.seek(-_LENGTH, 2)
        file.write(len(comment).to_bytes(_LENGTH, "little") + comment)


def check_seal(path: Path) -> None:
    """Compare a file with its checksum, if it has one; files from elsewhere have none.

    Raises:
        FusionLabError: They differ.
    """
    size = path.stat().st_size
    if size < _COMMENT + _END_SIZE:
        return
    with path.open("rb") as file:
        file.seek(-_COMMENT - _LENGTH, 2)
        length, comment = file.read(_LENGTH), file.read()
    if not comment.startswith(_MARK):
        return
    if int.from_bytes(length, "little") != _COMMENT or comment != _MARK + _digest(path, _COMMENT):
        raise FusionLabError(
            f"The checkpoint {path} is damaged: its content does not fit its checksum. Take an earlier one of the run."
        )


def _digest(path: Path, comment: int) -> bytes:
    """Return the checksum of an archive as it was before it got its comment, of so many bytes."""
    hashed = hashlib.sha256()
    left = path.stat().st_size - comment - _LENGTH
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            hashed.update(chunk)
            left -= len(chunk)
    hashed.update(bytes(_LENGTH))
    return hashed.hexdigest().encode()
