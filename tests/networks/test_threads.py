"""Parts of maps go side by side, and what comes out does not tell."""

import threading

import pytest
import torch

from fusion_lab.networks import TITA, GIFNet
from fusion_lab.networks.layers.strips import in_strips
from fusion_lab.networks.layers.threads import Threads
from tests.tiny import NETWORK


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def who_works(items=8, like=None):
    """Give the threads that work, and what is set in each."""
    told = []
    caller = threading.current_thread()
    both = threading.Barrier(2)

    def work(item):
        if item < 2 and threading.current_thread() is not caller:
            # One thread alone would not go on.
            both.wait(timeout=60)
        state = torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        told.append((item, threading.current_thread().name, *state))

    with Threads() as threads:
        threads.each(work, range(items), torch.zeros(1) if like is None else like)
    assert sorted(item for item, *_ in told) == list(range(items))
    return {tuple(each) for _, *each in told}


def test_each_thread_computes_alone_in_the_mode_of_the_caller():
    with torch.no_grad():
        assert {tuple(state) for _, *state in who_works()} == {(1, False, False)}
    with torch.inference_mode():
        found = who_works()
    assert {tuple(state) for _, *state in found} == {(1, False, True)}
    names = {name for name, *_ in found}
    assert len(names) == 2
    assert threading.current_thread().name not in names


def test_other_threads_keep_their_number():
    who_works()
    numbers = [torch.get_num_threads()]
    later = threading.Thread(target=lambda: numbers.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert numbers == [2, 2]


def test_the_caller_works_where_threads_would_not_see_the_same():
    own = threading.current_thread().name
    with torch.autocast("cpu"):
        assert {name for name, *_ in who_works()} == {own}
    assert {name for name, *_ in who_works(like=torch.zeros(1, device="meta"))} == {own}
    assert {name for name, *_ in who_works(items=1)} == {own}
    torch.set_num_threads(1)
    assert {name for name, *_ in who_works()} == {own}


def test_an_error_in_a_part_is_raised():
    def fail(item):
        if item == 3:
            raise ValueError("part 3")

    with pytest.raises(ValueError, match="part 3"), Threads() as threads:
        threads.each(fail, range(8), torch.zeros(1))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("make", [lambda: TITA(**NETWORK), lambda: GIFNet(width=2)], ids=["tita", "gifnet"])
def test_networks_fuse_the_same_with_any_number_of_threads(make, mode):
    network = make().eval()
    sources = torch.rand(2, 2, 1, 56, 72)
    fused = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        with mode(), in_strips(pixels=512):
            fused.append(network(*sources))
    for each in fused[1:]:
        torch.testing.assert_close(each, fused[0], rtol=0, atol=2e-6)
