"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(autouse=True, scope="module")
def seeded_module() -> None:
    """Let what a whole file shares, such as a network with random weights, be the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test draw the same random numbers, whichever ran before it."""
    torch.manual_seed(0)


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
