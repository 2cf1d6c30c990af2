import dataclasses
import hashlib

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.inference.official import OFFICIAL
from fusion_lab.public.weights import PUBLIC_WEIGHTS, cached_weights, fetch_weights, find_public_weights
from tests.public.loopback import archive

OURS = PUBLIC_WEIGHTS["gifnet-official"]
PATH = "/" + OURS.repository.archive.partition("://")[2]
CONTENT = b"numbers"


def test_the_known_file_is_found_in_any_folder(server, tmp_path):
    weights = dataclasses.replace(OURS, sha256=hashlib.sha256(CONTENT).hexdigest())
    for number, folder in enumerate(("", "model/")):
        server.files[PATH] = archive({f"{folder}Final.model": CONTENT, "README.md": b"words"})
        (tmp_path / str(number)).mkdir()
        assert fetch_weights(weights, tmp_path / str(number)).read_bytes() == CONTENT


def test_another_file_is_refused(server, tmp_path):
    server.files[PATH] = archive({"model/Final.model": CONTENT})
    with pytest.raises(FusionLabError, match="not the one that is known: its SHA-256 is"):
        fetch_weights(OURS, tmp_path)


def test_names_and_places(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cached_weights("gifnet-official") == tmp_path / "fusion_lab" / "weights" / "gifnet-official.safetensors"
    assert {weights.release for weights in PUBLIC_WEIGHTS.values()} <= OFFICIAL.keys()
    with pytest.raises(FusionLabError, match="no public weights 'tita': choose gifnet-official"):
        find_public_weights("tita")
