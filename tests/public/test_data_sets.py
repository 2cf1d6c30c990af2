"""The list of public data sets agrees with the configurations that read them."""

import re
from pathlib import Path

import pytest
import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.public.data_sets import SAMPLES, Part, data_sets, find_data_set

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
SETS = data_sets()


def test_layout_comes_from_the_configuration():
    train, test = SETS["msrs"].parts
    assert train == Part("ivf", "train", "MSRS", "train/vi", "train/ir", 1083)
    assert test == Part("ivf", "test", "MSRS", "test/vi", "test/ir", 361)
    assert [part.pairs for part in SETS["harvard"].parts if part.split == "test"] == [24, 24, 24]
    # Of a configuration of many sets, only its own folder.
    assert SETS["merianos"].parts == (Part("mef", "train", "merianos/train", "b", "a", 5),)
    assert [name for name, data_set in SETS.items() if not data_set.parts] == ["roadmf", "cifar100"]


def test_other_configurations_of_a_set_read_its_pairs():
    for data_set in SETS.values():
        places = {(part.folder, part.a, part.b) for part in data_set.parts}
        for config in data_set.configs[1:]:
            train = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["data"]["init_args"]["train"]
            read = [entry["init_args"] for entry in train]
            assert {(pairs["root"].split("/", 1)[1], pairs["a"], pairs["b"]) for pairs in read} <= places


def test_every_configuration_of_public_data_has_a_set():
    named = {config for data_set in SETS.values() for config in data_set.configs}
    made_here = {"embedded", "joint_embedded", "joint_collection"}
    assert named == {path.stem for path in CONFIGS.glob("*.yaml")} - made_here


@pytest.mark.parametrize("name", SETS)
def test_what_is_stated_can_be_used(name):
    data_set = SETS[name]
    assert data_set.home
    assert data_set.tasks
    assert data_set.terms
    assert bool(data_set.repository) + bool(data_set.by_hand) + bool(data_set.command) == 1
    if repository := data_set.repository:
        assert repository.commit is None or re.fullmatch("[0-9a-f]{40}", repository.commit)
        assert len(data_set.folders) == 1
        for path, value in repository.known.items():
            assert path.startswith(data_set.folders[0])
            assert re.fullmatch("[0-9a-f]{64}", value)
        for _, replacement in repository.take:
            # The name of the only folder may come out of the pattern.
            assert replacement.startswith((data_set.folders[0], r"\1"))
    else:
        data_set.by_hand.format(root="data")


# Paths in the repositories, and where they go.
PATHS = {
    "roadscene": {"cropinfrared/FLIR_1.jpg": "RoadScene/cropinfrared/FLIR_1.jpg", "cropinfrared/Thumbs.db": None},
    "msrs": {"test/vi/00004N.png": "MSRS/test/vi/00004N.png", "detection/vi/00004N.png": None},
    "tno": {"General Evaluation Metric/Image/Source-Image/TNO/ir/05.png": "TNO/ir/05.png"},
    "vifb": {"input/IR/man.jpg": "VIFB/input/IR/man.jpg", "output/IR/man.jpg": None},
    "lytro": {"input/lytro_01/lytro_01_A.jpg": "Lytro/lytro-01-A.jpg", "input/aymaz_01/aymaz_01_A.bmp": None},
    "mffw": {"input/mffw_01/mffw_01_A.jpg": "MFFW/mffw_01/mffw_01_A.jpg", "input/lytro_01/lytro_01_A.jpg": None},
    "mfifb": {"input/aymaz_01/aymaz_01_A.bmp": "MFIFB/input/aymaz_01/aymaz_01_A.bmp"},
    "mefb": {
        "input/garage/Garage_A.jpg": "MEFB/input/garage/Garage_A.jpg",
        "input/Lighthouse/Lighthouse_a.png": "MEFB/input/Lighthouse/Lighthouse_a.png",
        "input/garage/IMG_1234.jpg": None,
    },
    "merianos": {
        "HDR_fusion_DataSet/Rovinia/rovinia1.jpg": "merianos/train/a/Rovinia.jpg",
        "HDR_fusion_DataSet/Rovinia/rovinia2.jpg": None,
        "HDR_fusion_DataSet/Rovinia/rovinia3.jpg": "merianos/train/b/Rovinia.jpg",
    },
    "harvard": {
        "MyDatasets/PET-MRI/test/PET/25031.png": "MyDatasets/PET-MRI/test/PET/25031.png",
        "PET-MRI/test/PET/25031.png": None,
    },
    "quickbird": {"images/Remote/PAN/1.tif": "Remote/PAN/1.tif", "images/Remote/MS/1.tif": None},
}


def put(name, path):
    for pattern, replacement in SETS[name].repository.take:
        if match := re.fullmatch(pattern, path):
            return match.expand(replacement)
    return None


def test_files_go_where_the_configuration_looks():
    assert PATHS.keys() == {name for name, data_set in SETS.items() if data_set.repository}
    for name, paths in PATHS.items():
        assert {path: put(name, path) for path in paths} == paths


def test_samples_are_of_sets_that_are_known():
    assert {name for name, _ in SAMPLES.values()} <= SETS.keys()
    with pytest.raises(FusionLabError, match="no data set 'nothing': choose one of llvip, msrs"):
        find_data_set("nothing")
