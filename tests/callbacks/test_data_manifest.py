"""Which files a run was trained on stays known."""

import hashlib

import pytest

from fusion_lab.callbacks import DataManifest
from fusion_lab.public.manifest import read_manifest
from tests.tiny import data, make_pairs, module, trainer


@pytest.fixture
def root(tmp_path):
    return make_pairs(tmp_path / "train", ivf=1, mff=1, mef=1)


def fit(folder, root, val=None):
    trainer(folder, max_steps=1, callbacks=[DataManifest(folder)]).fit(module(), data(root, val))


def test_all_files_and_no_others_are_listed(root, tmp_path):
    val = make_pairs(tmp_path / "val", ivf=2, mff=1, mef=1)
    fit(tmp_path / "run", root, val)
    files = [path for folder in (root, val) for path in folder.rglob("*.png")]
    assert read_manifest(tmp_path / "run" / "data.sha256") == {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


def test_other_data_than_the_run_began_with_is_told(root, tmp_path):
    fit(tmp_path, root)
    before = (tmp_path / "data.sha256").read_bytes()
    fit(tmp_path, root)
    changed = root / "mff" / "a" / "mff0.png"
    changed.write_bytes((root / "ivf" / "a" / "ivf0.png").read_bytes())
    with pytest.warns(UserWarning, match=r"not what the run began with: 1 files differ .* such as .*mff/a/mff0\.png"):
        fit(tmp_path, root)
    assert (tmp_path / "data.sha256").read_bytes() == before
