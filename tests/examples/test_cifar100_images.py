"""CIFAR-100 in the layout of its home, made from random images."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from examples.cifar100 import images as cifar100
from examples.cifar100.images import fetch_cifar100, read_cifar100
from fusion_lab.errors import FusionLabError
from tests.tiny import make_cifar100


@pytest.fixture
def archive(tmp_path):
    return make_cifar100(tmp_path / "cifar-100-python.tar.gz", 7, 5)


def test_archive_and_folder_are_read_alike(archive, tmp_path):
    images = {split: read_cifar100(archive, split) for split in ("train", "test")}
    assert [found.images.shape for found in images.values()] == [(7, 32, 32, 3), (5, 32, 32, 3)]
    assert all(found.images.dtype == np.uint8 for found in images.values())
    with tarfile.open(archive) as files:
        files.extractall(tmp_path / "unpacked", filter="data")
    for place in (tmp_path, tmp_path / "unpacked", tmp_path / "unpacked" / "cifar-100-python"):
        again = read_cifar100(place, "test")
        assert np.array_equal(again.images, images["test"].images)
        assert np.array_equal(again.labels, images["test"].labels)


def test_images_are_the_three_planes_of_their_rows(archive):
    with tarfile.open(archive) as files:
        table = pickle.load(files.extractfile("cifar-100-python/train"), encoding="bytes")
    found = read_cifar100(archive, "train")
    assert found.images[3, 1, 2].tolist() == table[b"data"][3, [34, 1024 + 34, 2048 + 34]].tolist()
    assert found.labels.tolist() == table[b"fine_labels"]


class Harmful:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", [b"", b"text", pickle.dumps({b"data": 1}), pickle.dumps(Harmful())])
def test_broken_files_are_told(tmp_path, content, capsys):
    (tmp_path / "train").write_bytes(content)
    with pytest.raises(FusionLabError, match="is broken or not CIFAR-100 in its Python version"):
        read_cifar100(tmp_path, "train")
    assert "run" not in capsys.readouterr().out


def test_labels_beyond_the_classes_are_told(tmp_path):
    table = {b"data": np.zeros((1, 3072), np.uint8), b"fine_labels": [100]}
    (tmp_path / "train").write_bytes(pickle.dumps(table))
    with pytest.raises(FusionLabError, match="a label is no class"):
        read_cifar100(tmp_path, "train")


def test_an_archive_of_something_else_is_told(tmp_path):
    with tarfile.open(tmp_path / "other.tar.gz", "w:gz") as files:
        files.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    with pytest.raises(FusionLabError, match="is broken or not CIFAR-100"):
        read_cifar100(tmp_path / "other.tar.gz", "train")


def test_missing_files_are_told(tmp_path):
    with pytest.raises(FusionLabError, match=r"holds neither cifar-100-python/train nor cifar-100-python\.tar\.gz"):
        read_cifar100(tmp_path, "train")
    with pytest.raises(FusionLabError, match="CIFAR-100 is not at"):
        read_cifar100(tmp_path / "none.tar.gz", "train")


def test_what_is_there_is_not_downloaded_and_a_failure_is_told(tmp_path, archive, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(cifar100, "download_url_to_file", fail)
    assert fetch_cifar100(tmp_path) == tmp_path
    with pytest.raises(FusionLabError, match=r"cannot be downloaded \(no route to host\): download https"):
        fetch_cifar100(tmp_path / "elsewhere")
