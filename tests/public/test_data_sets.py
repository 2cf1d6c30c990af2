"""The list of public data sets agrees with the configurations that read them."""

import re
from pathlib import Path

import pytest
import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.public.data_sets import SAMPLES, data_sets, find_data_set

CONFIGS = Path(__file__).parents[2] / "configs" / "data"
SETS = data_sets()


def read_parts(config):
    """Give split, task, folder and patterns of all pairs that a configuration reads."""
    given = yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())["data"]["init_args"]
    for split in ("train", "val", "test"):
        tasks = given.get(split, {})
        # Joint training has pairs of one task.
        for task, datasets in ({"ivf": tasks} if isinstance(tasks, list) else tasks).items():
            for entry in datasets:
                if entry["class_path"].endswith("PairDataset"):
                    arguments = entry["init_args"]
                    root = arguments["root"].removeprefix("${exp.data_root}/")
                    yield split, task.rstrip("+"), root, arguments["a"], arguments["b"]


@pytest.mark.parametrize("name", SETS)
def test_layout_is_that_of_the_configuration(name):
    for number, config in enumerate(SETS[name].configs):
        wanted = {(part.split, part.task, part.folder, part.a, part.b) for part in SETS[name].parts}
        given = set(read_parts(config))
        if config == "collection":
            assert wanted <= given
        elif number == 0:
            assert wanted == given
        else:
            assert given <= wanted


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
