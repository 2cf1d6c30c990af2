from itertools import pairwise
from pathlib import Path

import pytest

from fusion_lab.errors import FusionLabError
from fusion_lab.runs.compose import compose, merge, variants


def test_dictionaries_merge_and_the_rest_is_replaced():
    assert merge({"a": {"x": 1, "y": [1]}}, {"a": {"y": [2]}}) == {"a": {"x": 1, "y": [2]}}


def test_another_class_drops_the_arguments_of_the_old_one():
    old = {"weighting": {"class_path": "FAMO", "init_args": {"lr": 1}}}
    assert merge(old, {"weighting": {"class_path": "Equal"}}) == {"weighting": {"class_path": "Equal"}}
    kept = merge(old, {"weighting": {"class_path": "FAMO", "init_args": {"weight_decay": 2}}})
    assert kept["weighting"]["init_args"] == {"lr": 1, "weight_decay": 2}


def test_plus_appends_across_files_and_bases(tmp_path):
    (tmp_path / "one.yaml").write_text("data: {mff+: [1]}")
    (tmp_path / "two.yaml").write_text("data: {mff+: [2]}")
    (tmp_path / "both.yaml").write_text("_base_: [one.yaml, two.yaml]\ndata: {mff+: [3], ivf+: [4]}")
    assert compose([tmp_path / "both.yaml"]) == {"data": {"mff": [1, 2, 3], "ivf": [4]}}


def test_later_files_win_over_earlier_ones_and_over_bases(tmp_path):
    (tmp_path / "base.yaml").write_text("trainer: {max_steps: 1, devices: 1}")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "top.yaml").write_text("_base_: ../base.yaml\ntrainer: {max_steps: 2}")
    (tmp_path / "last.yaml").write_text("trainer: {devices: 4}")
    composed = compose([tmp_path / "sub" / "top.yaml", tmp_path / "last.yaml"])
    assert composed == {"trainer": {"max_steps": 2, "devices": 4}}


SEVERAL = """
_base_: base.yaml
a: {shared: 1}
_variants_:
  one: {a: {own: 1}}
  two: {_base_: several/one.yaml, a: {shared: 2}}
  three:
"""


@pytest.fixture
def several(tmp_path):
    (tmp_path / "base.yaml").write_text("a: {base: 1}")
    (tmp_path / "several.yaml").write_text(SEVERAL)
    return tmp_path / "several.yaml"


def test_a_variant_is_laid_over_the_rest_of_its_file(several):
    composed = {path.stem: compose([path])["a"] for path in variants(several)}
    assert composed == {
        "one": {"base": 1, "shared": 1, "own": 1},
        "two": {"base": 1, "shared": 2, "own": 1},
        "three": {"base": 1, "shared": 1},
    }


def test_a_file_of_several_names_them(several):
    with pytest.raises(
        FusionLabError, match=r"holds several experiments \(one, two, three\): name one, .*several/one, or"
    ):
        compose([several])
    with pytest.raises(FusionLabError, match=r"four\.yaml does not exist"):
        compose([several.with_suffix("") / "four.yaml"])
    several.write_text("_variants_: {one: 3}")
    with pytest.raises(FusionLabError, match="The variant one in"):
        compose([several.with_suffix("") / "one.yaml"])


def test_variants_are_found_in_the_package_and_behind_a_file_of_another_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tita.yaml").write_text("a: 1")
    named = [compose([Path(name)]) for name in ("tita/weighting/pcgrad", "experiments/tita/weighting/pcgrad.yaml")]
    assert named[0] == named[1]
    assert named[0]["exp"]["name"] == "tita-pcgrad"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("_base_: nowhere.yaml", "does not exist"),
        ("_base_: own.yaml", "builds on itself"),
        ("a: [1", "no valid YAML"),
        ("- 1", "key: value"),
        ("_base_: 3", "name of a file, or a list"),
        ("_base_: .", "does not exist"),
        (f"_base_: {'x' * 300}", "cannot be read"),
        ("a: &b [*b]", "contains itself"),
        ("a: &b {c: *b}", "contains itself"),
        ("a: " + "[" * 500, "no valid YAML"),
        ("a: " + "[" * 200 + "]" * 200, "inside each other"),
        ("a: &a [1]\n" + "\n".join(f"{b}: &{b} [{f'*{a},' * 10}]" for a, b in pairwise("abcdefg")), "contains itself"),
        ("1: 2", r"has the key 1: keys are text"),
        ("a: {null: 2}", r"has the key None: keys are text"),
        ("a: 2020-02-30", "no valid YAML"),
        ("a: " + "9" * 5000, "no valid YAML"),
        ("a: !!bool perhaps", "no valid YAML"),
        ("a: !!python/object/apply:os.getcwd []", "no valid YAML"),
        ("a+: 1", "write a list"),
        ("a: \0", "no valid YAML"),
    ],
)
def test_bad_files_are_told_in_one_sentence(tmp_path, content, complaint):
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(FusionLabError, match=complaint) as error:
        compose([tmp_path / "own.yaml"])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_other_encodings_and_unreadable_files_are_told(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("name: Bär".encode("latin-1"))
    with pytest.raises(FusionLabError, match=r"latin\.yaml is no text in UTF-8"):
        compose([tmp_path / "latin.yaml"])
    (tmp_path / "wide.yaml").write_text("name: Bär", encoding="utf-16")
    with pytest.raises(FusionLabError, match=r"wide\.yaml"):
        compose([tmp_path / "wide.yaml"])
    with pytest.raises(FusionLabError, match="does not exist"):
        compose([tmp_path])


def test_values_may_be_shared_by_aliases(tmp_path):
    (tmp_path / "own.yaml").write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}")
    assert compose([tmp_path / "own.yaml"]) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_a_list_is_appended_to_what_may_stand_for_one():
    logger = {"class_path": "a.B"}
    assert merge({"logger": logger}, {"logger+": [1]}) == {"logger": [logger, 1]}
    assert merge({"logger": False}, {"logger+": [1]}) == {"logger": [1]}
    with pytest.raises(FusionLabError, match="`logger` is True"):
        merge({"logger": True}, {"logger+": [1]})
