"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """Golden outputs and real image pairs beside the repository, for tests marked ``shared``."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        reason = f"the folder {folder} with golden outputs and image pairs is missing"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder
