"""Downloading a file, all of it or nothing."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusion_lab.errors import FusionLabError, one_line
from fusion_lab.files import atomic_path

if TYPE_CHECKING:
    from requests import RequestException

MIRROR = "FUSION_LAB_MIRROR"
"""Environment variable: the address of a server that has ``https://HOST/PATH`` as ``HOST/PATH`` below it."""

_CHUNK = 2**16
_PATIENCE = 60
"""Seconds without a byte after which a connection is given up."""


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

    if target.is_file():
        return target
    address = address_of(url)
    if progress:
        print(f"Downloading {target.name}", file=sys.stderr)
    with atomic_path(target) as temporary:
        try:
            HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=_PATIENCE)(address, str(temporary), None)
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
    return one_line(error)
