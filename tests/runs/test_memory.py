import platform
import subprocess
import sys

import pytest

from fusion_lab.runs.memory import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from fusion_lab.runs.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
for round in range(40):
    if round == 20:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    (torch.rand(2**23) + 1).mul(2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="The system's allocator is another one.")
def test_pages_of_freed_tensors_are_not_asked_for_again():
    assert faults("keep") < faults("leave") / 10


def test_nothing_happens_where_the_allocator_is_another_one(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    keep_freed_memory()
