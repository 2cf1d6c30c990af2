"""Fixtures for all tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from fusion_lab.data.embedded import write_embedded_pairs
from tests.tiny import TASKS, make_pairs

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update"]


@pytest.fixture(autouse=True, scope="module")
def seeded_module() -> None:
    """Let what a whole file shares, such as a network with random weights, be the same in every run."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test draw the same random numbers, whichever ran before it."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny pair of each task, to validate on; only to be read."""
    return make_pairs(tmp_path_factory.mktemp("few"), **dict.fromkeys(TASKS, 1))


@pytest.fixture(scope="session")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for what is made once, also where tests run side by side."""
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "common"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def data_root(temporary: Path) -> Path:
    """The folder that the embedded data is in, only to be read; where the notebooks look for it."""
    root = temporary / "fusion_lab_data"
    with FileLock(temporary / "data.lock"):
        write_embedded_pairs(root / "embedded")
    return root


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The installed Chromium; nothing of it asks the internet by itself."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        reason = f"none of the browsers {', '.join(_BROWSERS)} is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_QUIET)
        yield browser
        browser.close()
