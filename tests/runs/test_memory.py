import platform
import subprocess
import sys

import pytest

from fusion_lab.runs.memory import keep_freed_memory

FAULTS = """
import resource, sys
import torch
from fusion_lab.networks import TITA
from fusion_lab.networks.layers.strips import in_strips
from fusion_lab.runs.memory import keep_freed_memory

how, work = sys.argv[1:]
if how != "leave":
    keep_freed_memory(maps=how == "keep all")

def large():
    (torch.rand(2**23) + 1).mul(2)

def parts(network=TITA(60, 6, 8, 1, 1, 1).eval(), x=torch.rand(1, 1, 64, 128)):
    with torch.inference_mode(), in_strips():
        network(x, x)

for round in range(20):
    if round == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    {"large": large, "parts": parts}[work]()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how, work):
    done = subprocess.run([sys.executable, "-c", FAULTS, how, work], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="The system's allocator is another one.")
def test_pages_of_freed_tensors_are_not_asked_for_again():
    assert faults("keep all", "large") < faults("leave", "large") / 10
    assert faults("keep small", "parts") < faults("leave", "parts") / 5


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="The system's allocator is another one.")
def test_maps_are_given_back_where_others_come_next():
    assert faults("keep small", "large") > 10 * faults("keep all", "large")


def test_nothing_happens_where_the_allocator_is_another_one(monkeypatch):
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    keep_freed_memory()
