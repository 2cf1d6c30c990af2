import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import fusion_lab


def test_importing_the_package_alone_loads_nothing_heavy():
    code = "import sys, fusion_lab; print({'torch', 'lightning', 'cv2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_public_names_are_there():
    for name in fusion_lab.__all__:
        assert getattr(fusion_lab, name)
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = fusion_lab.nothing


def test_fusing_loads_nothing_that_only_training_and_classical_methods_need(tmp_path):
    for name in "ab":
        Image.fromarray(np.full((16, 24), 90, np.uint8)).save(tmp_path / f"{name}.png")
    program = (
        "import sys\n"
        "from fusion_lab.cli.main import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = ('albumentations', 'kornia', 'lightning', 'scipy', 'matplotlib', 'torchmetrics', 'wandb')\n"
        "print(code, [name for name in heavy if name in sys.modules])\n"
    )
    sources = [str(tmp_path / f"{name}.png") for name in "ab"]
    command = [sys.executable, "-c", program, "fuse", *sources, "-o", str(tmp_path / "fused.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
