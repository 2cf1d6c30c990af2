"""Links are followed and lead nowhere twice; ``~/`` is the home folder, wherever it is given."""

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fusion_lab.cli import main as main_module
from fusion_lab.data import PairDataset
from fusion_lab.errors import FusionLabError, FusionLabWarning
from fusion_lab.files import expand_home, expand_homes, walk
from fusion_lab.runs.compose import compose
from fusion_lab.studies.gathered import gather


def write(path, level=100, size=(9, 13)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, level, np.uint8)).save(path)


def test_links_are_followed_and_loops_are_not(tmp_path):
    write(tmp_path / "data" / "s1" / "vi" / "1.png")
    write(tmp_path / "elsewhere" / "vi" / "1.png")
    write(tmp_path / "file.png")
    (tmp_path / "data" / "s2").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "s1" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "elsewhere" / "self").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "data" / "linked.png").symlink_to(tmp_path / "file.png")
    (tmp_path / "data" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    write(tmp_path / "data" / ".hidden" / "1.png")
    found = [path.relative_to(tmp_path / "data").as_posix() for path in walk(tmp_path / "data")]
    assert found == ["gone.png", "linked.png", "s1/vi/1.png", "s2/vi/1.png"]


def test_patterns_find_what_lies_behind_links(tmp_path):
    for scene in ("s1", "elsewhere"):
        for role in ("vi", "ir"):
            write(tmp_path / ("data" if scene == "s1" else "") / scene / role / "1.png")
    (tmp_path / "data" / "s2").symlink_to(tmp_path / "elsewhere")
    names = [pair.name for pair in PairDataset(tmp_path, "data/{name}/vi/1", "data/{name}/ir/1").pairs]
    assert names == ["s1", "s2"]


def test_runs_behind_links_are_compared_once(tmp_path):
    for number, place in enumerate(("here/one", "away/two")):
        run = tmp_path / place
        run.mkdir(parents=True)
        (run / "result.json").write_text('{"steps": 1, "metrics": {}}')
        (run / "config.yaml").write_text(yaml.safe_dump({"exp": {"name": run.name, "seed": number}}))
    (tmp_path / "here" / "linked").symlink_to(tmp_path / "away")
    (tmp_path / "here" / "last").symlink_to(tmp_path / "here" / "one")
    assert sorted(trial.title for trial in gather(str(tmp_path / "here"), tmp_path / "out")) == ["one", "two"]


def test_names_are_compared_in_one_unicode_form(tmp_path):
    write(tmp_path / "a" / "stra\u00dfe_\u00e9.png")
    write(tmp_path / "b" / "stra\u00dfe_e\u0301.png")
    (pair,) = PairDataset(tmp_path).pairs
    assert pair.name == "stra\u00dfe_\u00e9"
    assert (pair.a.is_file(), pair.b.is_file()) == (True, True)
    (pair,) = PairDataset(tmp_path, "a/{name}_e\u0301", "b/{name}_\u00e9").pairs
    assert pair.name == "stra\u00dfe"


def test_what_has_no_partner_may_be_left_out(tmp_path):
    for name in ("a/1", "b/1", "a/2", "b/3"):
        write(tmp_path / f"{name}.png")
    with pytest.warns(FusionLabWarning, match=r"2 images .*a/2\.png.*b/3\.png\): they are left out"):
        assert [pair.name for pair in PairDataset(tmp_path, unpaired="leave_out").pairs] == ["1"]
    with pytest.raises(FusionLabError, match=r"`unpaired` should be raise or leave_out"):
        PairDataset(tmp_path, unpaired="ignore")
    (tmp_path / "b" / "1.png").unlink()
    with pytest.raises(FusionLabError, match="no partner"):
        PairDataset(tmp_path, unpaired="leave_out").pairs  # noqa: B018


def test_folders_of_what_is_not_read_are_told(tmp_path):
    for role in "ab":
        (tmp_path / role).mkdir()
        (tmp_path / role / "1.nii.gz").write_bytes(b"x")
    with pytest.raises(FusionLabError, match=r"end in \.nii\.gz, which is not read: .*with nibabel"):
        PairDataset(tmp_path).pairs  # noqa: B018


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_home_folder(home):
    assert expand_home("~/runs") == f"{home}/runs"
    for text in ("~", "a~/b", "/~/x", "~ a/b", "", "x"):
        assert expand_home(text) == text


def test_home_folder_in_configurations(home):
    (home / "base.yaml").write_text("exp: {output: ~/runs}\n")
    (home / "own.yaml").write_text('_base_: ~/base.yaml\ndata: {roots: ["~/data", other, "~"], none: ~}\n')
    config = compose([home / "own.yaml"])
    assert config == {
        "exp": {"output": f"{home}/runs"},
        "data": {"roots": [f"{home}/data", "other", "~"], "none": None},
    }


def test_home_folder_in_options(home, monkeypatch):
    seen = []
    monkeypatch.setattr(main_module, "import_module", lambda name: type("Command", (), {"main": seen.append}))
    words = ["A=~/a", "~/b", "--output=~/c", "-o", "~/d", "--x.y=[~/e, 'f', \"~/g\"]", '{"z": "~/h", "k": "~"}', "~"]
    main_module.main(["compare", *words])
    told = [word.replace("~/", f"{home}/") for word in words]
    assert seen == [told]
    assert Path(os.environ["HOME"]) == home


def test_the_home_folder_may_be_followed_by_an_equals_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand_homes("~/runs/lr=1/{name}_vi") == "/home/me/runs/lr=1/{name}_vi"
    assert expand_homes("--exp.output=~/runs") == "--exp.output=/home/me/runs"
