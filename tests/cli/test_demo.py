import csv
import shutil
from pathlib import Path

import pytest
import yaml

from fusion_lab import demo, load_network
from fusion_lab.cli.main import main
from fusion_lab.inference.weights import save_network
from fusion_lab.networks import TITA

TINY = {
    "_base_": str(demo.EXPERIMENT),
    "model": {
        "init_args": {
            "network": {
                "init_args": {
                    "embed_dim": 12,
                    "num_heads": 2,
                    "num_extraction_blocks": 1,
                    "num_interaction_blocks": 2,
                    "num_reconstruction_blocks": 1,
                }
            }
        }
    },
    "trainer": {"enable_progress_bar": False},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory, data_root):
    """The demo with a tiny network for the packaged one, run twice into the same folder, where its data is already."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(data_root, folder / "out" / "data")
    experiment = folder / "tiny.yaml"
    experiment.write_text(yaml.safe_dump(TINY))
    sizes = TINY["model"]["init_args"]["network"]["init_args"]
    save_network(TITA(**sizes, blend=True), folder / "tiny.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "EXPERIMENT", experiment)
        patch.setattr(demo, "WEIGHTS", folder / "tiny.safetensors")
        for _ in range(2):
            assert main(["demo", "-o", str(folder / "out"), "--steps", "2"]) == 0
    return folder / "out"


def test_the_demo_leaves_weights_images_scores_and_a_page(made):
    network = load_network(made / "tita.safetensors")
    assert network.init_args["embed_dim"] == 12
    fused, tuned = (
        sorted(path.relative_to(made / folder).as_posix() for path in (made / folder).rglob("*.png"))
        for folder in ("fused", "fine_tuned")
    )
    assert fused == tuned
    assert {Path(name).parent.name for name in fused} == {"ivf", "mff", "mef"}
    with (made / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    # Three methods a pair, and their mean a task.
    assert len(rows) == 3 * (len(fused) + 3)
    assert {row["method"] for row in rows} == {"TITA", "TITA, fine-tuned", "Average"}
    page = (made / "report.html").read_text()
    assert page.count("data:image/") >= 5 * len(fused)
    assert "simulated" in page


def test_an_output_that_is_a_file_is_told(tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert main(["demo", "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
