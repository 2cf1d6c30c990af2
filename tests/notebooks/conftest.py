"""One place for what all notebooks share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def temporary(tmp_path_factory):
    """The folder of temporary files of all notebooks, also where tests run side by side: data is made once in it."""
    root = tmp_path_factory.getbasetemp()
    folder: Path = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "notebooks"
    folder.mkdir(exist_ok=True)
    return folder
