"""Files that would run a program when they are read as a pickle: refused in a sentence, and nothing is run."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

import fusion_lab
from fusion_lab.errors import FusionLabError


class Hostile:
    """A pickle of this writes a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


def legacy(mark, content):
    """As PyTorch stored before 1.6: pickles in a row."""
    file = io.BytesIO()
    torch.save({**content, "trap": Hostile(mark)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def modern(mark, content):
    file = io.BytesIO()
    torch.save({**content, "trap": Hostile(mark)}, file)
    return file.getvalue()


def bare(mark, content):
    return pickle.dumps(Hostile(mark))


def torchscript(mark, content):
    """An archive that PyTorch takes for a program of its own."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("constants.pkl", "data.pkl"):
            archive.writestr(f"archive/{name}", pickle.dumps(Hostile(mark)))
    return file.getvalue()


@pytest.fixture(params=[modern, legacy, bare, torchscript], ids=lambda make: make.__name__)
def hostile(request, tmp_path, run):
    """A hostile file under several names; in the end, the mark must not be there."""
    mark = tmp_path / "mark"
    # But for the trap, it is a checkpoint of the very run.
    content = torch.load(run / "runs" / "tiny" / "checkpoints" / "last.ckpt", weights_only=True)

    paths = [tmp_path / f"hostile{suffix}" for suffix in (".ckpt", ".pth", ".safetensors")]
    for path in paths:
        path.write_bytes(request.param(mark, content))
    # The trap works.
    pickle.loads(pickle.dumps(Hostile(mark)))
    assert mark.exists()
    mark.unlink()
    yield paths
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_nothing_is_run(hostile, command, run, tmp_path):
    image = run / "pairs" / "ivf" / "a" / "ivf0.png"
    for path in hostile:
        with pytest.raises(FusionLabError, match=r"refused|broken"):
            fusion_lab.load_network(path)
        assert command("weights", "info", path) == 2
        assert command("weights", "convert", path, "-o", tmp_path / "new.safetensors") == 2
        assert command("fuse", image, image, "-o", tmp_path / "out.png", "--weights", path) == 2
    arguments = ("--ckpt_path", hostile[0], f"--exp.output={tmp_path / 'runs'}", "--trainer.max_steps=1")
    assert command("fit", "--config", run / "tiny.yaml", *arguments) == 2
    assert {file for file in tmp_path.rglob("*") if file.is_file()} == set(hostile)
