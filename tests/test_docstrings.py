"""The examples of the public API do what they say."""

import doctest
import importlib

import pytest

import fusion_lab

MODULES = sorted({getattr(fusion_lab, name).__module__ for name in ("Run", "Study", "evaluate")})


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed
