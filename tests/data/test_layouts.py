"""The official layouts of public data sets, rebuilt from links to real pairs, meet their configurations."""

from pathlib import Path

import pytest

from fusion_lab.runs import build as building
from fusion_lab.runs.compose import compose

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = [CONFIGS / "trainer" / "default.yaml", CONFIGS / "model" / "tita.yaml"]

# Configuration: split, task, where real pairs are taken from, and what their sources are called in the official layout.
# The first name is that of the folder `a` of the real pairs, N counts the pairs.
LAYOUTS = {
    "llvip": ("train", "ivf", "llvip/train", "LLVIP/visible/train/01000{N}", "LLVIP/infrared/train/01000{N}"),
    "msrs": ("test", "ivf", "msrs/test", "MSRS/test/vi/0000{N}N", "MSRS/test/ir/0000{N}N"),
    "roadscene": (
        "train",
        "ivf",
        "roadscene/train",
        "RoadScene/crop_LR_visible/FLIR_{N}",
        "RoadScene/cropinfrared/FLIR_{N}",
    ),
    "tno": ("test", "ivf", "vifb/test", "TNO/vi/0{N}", "TNO/ir/0{N}"),
    "m3fd": ("test", "ivf", "m3fd_sample/test", "M3FD_Fusion/Vis/0000{N}", "M3FD_Fusion/Ir/0000{N}"),
    "vifb": ("test", "ivf", "vifb/test", "VIFB/input/VI/man{N}", "VIFB/input/IR/man{N}"),
    "lytro": ("test", "mff", "mfifb/val", "Lytro/lytro-0{N}-A", "Lytro/lytro-0{N}-B"),
    "mffw": ("test", "mff", "mfifb/val", "MFFW/mffw_{N}/mffw_{N}_A", "MFFW/mffw_{N}/mffw_{N}_B"),
    "mfifb": ("test", "mff", "mfifb/val", "MFIFB/input/book{N}/book{N}_A", "MFIFB/input/book{N}/book{N}_B"),
    "mfi_whu": ("train", "mff", "mfiwhu/train", "MFI-WHU/source_1/{N}", "MFI-WHU/source_2/{N}"),
    "realmff": ("train", "mff", "mfifb/train", "RealMFF/imageA/00{N}_A", "RealMFF/imageB/00{N}_B"),
    "sice": ("train", "mef", "mefb/train", "SCIE/ue/{N}", "SCIE/oe/{N}"),
    # Irregular as in the original: capital folder, small letters of a and b.
    "mefb": ("test", "mef", "mefb/val", "MEFB/input/garage{N}/Garage{N}_A", "MEFB/input/garage{N}/Garage{N}_b"),
    "harvard": (
        "train",
        "mif",
        "harvard_ct_mri/train",
        "MyDatasets/CT-MRI/train/MRI/200{N}",
        "MyDatasets/CT-MRI/train/CT/200{N}",
    ),
    "nirscene": ("test", "nir", "nir/test", "nirscene1/country/000{N}_rgb", "nirscene1/country/000{N}_nir"),
    "quickbird": ("test", "pan", "pan/test", "Remote/PAN/{N}", "Remote/MS_band1/{N}"),
}
# TITA's first source of these tasks is the folder b.
SWAPPED = {"mff", "mef"}


def test_every_data_set_has_a_layout_here():
    names = {path.stem for path in (CONFIGS / "data").glob("*.yaml")}
    # tests/data/test_joint.py has those of joint training.
    assert {name for name in names if not name.startswith("joint_")} == {*LAYOUTS, "embedded", "collection"}


@pytest.mark.shared
@pytest.mark.parametrize("name", LAYOUTS)
def test_official_layout_is_read(name, shared, tmp_path):
    split, task, home, name_a, name_b = LAYOUTS[name]
    wanted = []
    for number, source_a in enumerate(sorted((shared / "data" / home / "a").iterdir())[:3], start=1):
        source_b = shared / "data" / home / "b" / source_a.name
        links = [tmp_path / f"{template.replace('{N}', str(number))}{source_a.suffix}" for template in (name_a, name_b)]
        for link, source in zip(links, (source_a, source_b), strict=True):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(source)
        wanted.append(tuple(reversed(links)) if task in SWAPPED else tuple(links))
        (links[0].parent / "Thumbs.db").write_bytes(b"no image")

    config = compose([*BASE, CONFIGS / "data" / f"{name}.yaml"])
    cli = building.build("fit", config, [f"--exp.data_root={tmp_path}", f"--exp.output={tmp_path}"])
    dataset = cli.datamodule.splits[split][task][0]
    assert [(pair.a, pair.b) for pair in dataset.pairs] == wanted
    sample = dataset[0]
    assert sample["source_a"].shape == sample["source_b"].shape
    assert 0 <= sample["source_a"].min() < sample["source_a"].max() <= 1
