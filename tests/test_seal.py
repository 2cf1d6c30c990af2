"""Damage to a checkpoint is noticed, whatever byte it is."""

import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusion_lab.errors import FusionLabError
from fusion_lab.seal import check_seal, seal


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    path = tmp_path_factory.mktemp("seal") / "a.ckpt"
    torch.save({"weights": torch.arange(1000.0), "step": 3}, path)
    seal(path)
    return path


def test_sealed_file_is_read_as_before(sealed):
    check_seal(sealed)
    for options in ({}, {"mmap": True}):
        stored = torch.load(sealed, weights_only=True, **options)
        assert stored["step"] == 3
        assert torch.equal(stored["weights"], torch.arange(1000.0))
    assert zipfile.ZipFile(sealed).testzip() is None


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(sealed, place, flip):
    content = bytearray(sealed.read_bytes())
    # The mark itself aside, without which a file counts as not sealed.
    place = int(place * (len(content) - 71))
    content[place] ^= flip
    damaged = sealed.with_name("damaged.ckpt")
    damaged.write_bytes(content)
    with pytest.raises(FusionLabError, match=r"damaged.ckpt is damaged: its content does not fit its checksum"):
        check_seal(damaged)


def test_files_from_elsewhere_have_no_seal(tmp_path):
    plain = tmp_path / "plain.ckpt"
    torch.save([1, 2], plain)
    check_seal(plain)
    (tmp_path / "short").write_bytes(b"PK")
    check_seal(tmp_path / "short")


def test_only_archives_without_a_comment_are_sealed(sealed, tmp_path):
    (tmp_path / "text").write_text("no archive, but long enough to be one" * 3)
    for path in (tmp_path / "text", sealed):
        before = path.read_bytes()
        with pytest.raises(ValueError, match="no zip archive without a comment"):
            seal(path)
        assert path.read_bytes() == before
