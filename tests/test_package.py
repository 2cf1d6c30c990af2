import subprocess
import sys

import pytest

import fusion_lab


def test_importing_the_package_alone_loads_nothing_heavy():
    code = "import sys, fusion_lab; print({'torch', 'lightning', 'cv2', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_public_names_are_there():
    for name in fusion_lab.__all__:
        assert getattr(fusion_lab, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fusion_lab.nothing
