"""Repositories on GitHub, at a commit where one is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Take = tuple[tuple[str, str], ...]
"""Pairs of a regular expression that a whole path in an archive must match, and the path that it is unpacked to."""


@dataclass(frozen=True)
class Repository:
    """What to take from a public repository.

    Attributes:
        name: Owner and name on GitHub.
        commit: The commit, all 40 digits; None where none is known: then the newest state is taken.
        take: Which files to take, by their paths in the repository, and where to put them.
        known: SHA-256 of some of the files taken, by the paths that they are put to.
    """

    name: str
    commit: str | None
    take: Take
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        """The page of the repository."""
        return f"https://github.com/{self.name}"

    @property
    def archive(self) -> str:
        """The address of an archive of all files."""
        return f"{self.home}/archive/{self.commit or 'HEAD'}.zip"

    @property
    def file_name(self) -> str:
        """A name for the archive that no other has."""
        return f"{self.name.replace('/', '-')}-{(self.commit or 'HEAD')[:8]}.zip"
