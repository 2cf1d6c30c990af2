"""Downloading a file, all of it or nothing."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.errors import FusionLabError
from fusion_lab.files import atomic_path

if TYPE_CHECKING:
    from requests import RequestException
    from rich.progress import Progress

MIRROR = "FUSION_LAB_MIRROR"
"""Environment variable: the address of a server that has ``https://HOST/PATH`` as ``HOST/PATH`` below it."""

_PATIENCE = 60
"""Seconds without a byte after which a connection is given up."""
_LONGEST_REASON = 200


def address_of(url: str) -> str:
    """Return the address that a file is really fetched from: below the mirror, if there is one.

    Raises:
        FusionLabError: The mirror is no address.
    """
    mirror = os.environ.get(MIRROR, "").strip()
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")):
        raise FusionLabError(f"The mirror {mirror} ({MIRROR}) is no address: let it begin with http:// or https://.")
    return f"{mirror.rstrip('/')}/{url.partition('://')[2]}"


def download(url: str, target: Path, progress: bool = False) -> Path:
    """Download a file to ``target`` unless it is there. It appears whole: a connection that is cut leaves nothing.

    Args:
        url: Its address, which a mirror stands in for (`MIRROR`).
        target: Where to put it.
        progress: Show a bar on stderr.

    Raises:
        FusionLabError: The address does not answer, refuses, or ends too early, or the file cannot be written.
    """
    # Both take a while to load, and most commands fetch nothing.
    from pooch import HTTPDownloader  # type: ignore[import-untyped]
    from requests import HTTPError, RequestException
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    if target.is_file():
        return target
    address = address_of(url)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with (
        atomic_path(target) as temporary,
        Progress(*columns, console=Console(stderr=True), disable=not progress) as bars,
    ):
        downloader = HTTPDownloader(progressbar=_Bar(bars, f"Downloading {target.name}"), timeout=_PATIENCE)
        try:
            downloader(address, str(temporary), None)
        except HTTPError as error:
            raise FusionLabError(
                f"The address {address} refuses ({str(error).partition(' for url')[0]}): look at it in a browser, or "
                f"name a mirror ({MIRROR})."
            ) from None
        except RequestException as error:
            raise FusionLabError(
                f"The download of {address} failed ({_reason(error)}): check the network and {MIRROR}, and repeat the "
                "command; nothing incomplete was kept."
            ) from None
        except OSError as error:
            raise FusionLabError(
                f"The download {target} cannot be written ({error.strerror or error}): name a folder with room that "
                "you may write to."
            ) from None
    return target


def _reason(error: "RequestException") -> str:
    """Return a few words instead of the chain of exceptions that requests prints."""
    from requests import Timeout
    from requests.exceptions import ChunkedEncodingError, ConnectionError

    if isinstance(error, Timeout):
        return "no answer in time"
    if isinstance(error, ChunkedEncodingError):
        return "the connection was cut"
    if isinstance(error, ConnectionError):
        return "no connection"
    return " ".join(str(error).split())[:_LONGEST_REASON]


class _Bar:
    """A bar of rich, with the methods that pooch calls."""

    def __init__(self, bars: "Progress", description: str) -> None:
        self._bars = bars
        self._task = bars.add_task(description, total=None)

    @property
    def total(self) -> int:
        """Bytes to come, 0 where the server does not say."""
        return int(self._bars.tasks[0].total or 0)

    @total.setter
    def total(self, size: int) -> None:
        self._bars.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        """Go on by ``size`` bytes."""
        self._bars.advance(self._task, size)

    def reset(self) -> None:
        """Begin anew, which pooch does to fill the bar at the end."""
        self._bars.reset(self._task)

    def close(self) -> None:
        """Do nothing: the bar ends with its context."""
