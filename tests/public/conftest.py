import pytest

from fusion_lab.public.download import MIRROR
from tests.public.loopback import serving


@pytest.fixture
def server(monkeypatch):
    """A server that stands in for every address."""
    with serving() as server:
        monkeypatch.setenv(MIRROR, server.address)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield server
