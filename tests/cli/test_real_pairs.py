"""What goes beyond two images, by the program, on real pairs."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.shared
SIDE = 96
TRAIN = ["--config", "tita/embedded", "--config", "configs/model/tita_small.yaml", "--config"]
TRAIN += ["configs/schedule/short.yaml", "--config", "pairs.yaml", "--trainer.max_steps=2", "--trainer.accelerator=cpu"]


def run(folder, *words):
    command = [sys.executable, "-m", "fusion_lab.cli.main", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read(path):
    return np.asarray(Image.open(path).convert("L")).astype(int)


@pytest.fixture
def near_infrared(shared, tmp_path):
    """The middle of a near-infrared pair, ``a/one.png`` and ``b/one.png``."""
    names = sorted(path.name for path in (shared / "data/nir/test/a").iterdir())
    for side in "ab":
        image = Image.open(shared / "data/nir/test" / side / names[0]).convert("L")
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        (tmp_path / side).mkdir()
        image.crop((left, top, left + SIDE, top + SIDE)).save(tmp_path / side / "one.png")
    return tmp_path


def test_weights_that_are_there_are_a_better_beginning(shared, tmp_path):
    part = {"ivf": [{"class_path": "fusion_lab.data.PairDataset", "init_args": {"root": str(tmp_path / "pairs")}}]}
    part |= {"mff": [], "mef": []}
    names = sorted(path.name for path in (shared / "data/roadscene/train/a").iterdir())[:2]
    for side in "ab":
        (tmp_path / "pairs" / side).mkdir(parents=True)
        for name in names:
            (tmp_path / "pairs" / side / name).symlink_to((shared / "data/roadscene/train" / side / name).resolve())
    data = {"train": part, **dict.fromkeys(("val", "test", "predict"), part), "val_crop": SIDE}
    (tmp_path / "pairs.yaml").write_text(yaml.safe_dump({"data": {"init_args": data}}))
    losses = {}
    for name, more in (("nothing", []), ("tita", ["--exp.weights=tita"])):
        run(tmp_path, "fit", *TRAIN, f"--exp.name={name}", "--trainer.log_every_n_steps=1", *more)
        with (tmp_path / "runs" / name / "log" / "metrics.csv").open() as file:
            losses[name] = next(float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"])
    assert losses["tita"] < losses["nothing"]
    assert "used" in (tmp_path / "runs/tita/weights.txt").read_text()


def test_a_stack_of_a_focus_pair_and_one_of_them_again(shared, tmp_path):
    name = min(path.name for path in (shared / "data/mfifb/val/a").iterdir())
    sources = [shared / "data/mfifb/val" / side / name for side in "aba"]
    run(tmp_path, "fuse", *sources, "-o", "stack.png", "--weights", "fusion_lab.networks.LaplacianPyramid")
    sharp = [np.abs(np.diff(read(path))).mean() for path in (tmp_path / "stack.png", *sources[:2])]
    assert sharp[0] > max(sharp[1:])


def test_b_is_moved_back_onto_a(near_infrared):
    moved = np.roll(read(near_infrared / "b/one.png"), (4, -3), axis=(0, 1)).astype(np.uint8)
    Image.fromarray(moved).save(near_infrared / "moved.png")
    told = run(near_infrared, "fuse", "a/one.png", "moved.png", "-o", "fused.png", "--align", "translation")
    assert float(re.search(r"B moved by (\S+) pixels", told)[1]) == pytest.approx(5, abs=1)


def test_the_exported_network_fuses_the_same(near_infrared, shared):
    official = shared.resolve() / "golden/ifcnn/IFCNN-MAX.pth"
    run(near_infrared, "export", "--weights", official, "-o", "net.onnx")
    for name, weights in (("official", official), ("onnx", "net.onnx")):
        run(near_infrared, "fuse", "a/one.png", "b/one.png", "-o", f"{name}.png", "--weights", weights)
    assert np.abs(read(near_infrared / "official.png") - read(near_infrared / "onnx.png")).max() <= 1


def test_a_video_has_all_frames(near_infrared):
    video_files = pytest.importorskip("tests.video_files", reason="the extra video is not installed")
    for side in "ab":
        pictures = video_files.frames(near_infrared / side / "one.png", 6)
        video_files.write_video(near_infrared / f"{side}.mp4", pictures)
    average = "fusion_lab.networks.Average"
    assert "Fused 6 frames" in run(near_infrared, "fuse", "a.mp4", "b.mp4", "-o", "fused.mp4", "--weights", average)
    assert (near_infrared / "fused.mp4").stat().st_size > 0


def test_cost_against_scores(near_infrared):
    networks = {"Laplacian": "fusion_lab.networks.LaplacianPyramid", "Average": "fusion_lab.networks.Average"}
    for name, weights in networks.items():
        run(near_infrared, "fuse", "a", "b", "-o", name, "--weights", weights)
    methods = [f"{name}={name}" for name in networks]
    run(near_infrared, "compare", *methods, "--a", "a", "--b", "b", "--metrics", "Qabf", "-o", "table")
    with (near_infrared / "table/table.csv").open() as file:
        scores = {row["method"]: float(row["mean"]) for row in csv.DictReader(file)}
    assert scores["Laplacian"] > scores["Average"]
    named = [f"{name}={weights}" for name, weights in networks.items()]
    chart = ["--scores", "table/table.csv", "--metric", "Qabf", "--chart", "chart.png"]
    run(near_infrared, "profile", *named, "--size", "64x64", "--rounds", "1", *chart)
    assert Image.open(near_infrared / "chart.png").width > 100
