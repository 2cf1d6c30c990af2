import pytest
import torch
from torch.utils.data import DataLoader

from fusion_lab.data.repeat import RepeatEachBatch


class Counted(torch.utils.data.Dataset):
    def __init__(self):
        self.read = 0

    def __len__(self):
        return 5

    def __getitem__(self, index):
        self.read += 1
        return index


def values(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("repeat", [1, 2, 3])
def test_each_batch_comes_several_times_in_a_row(repeat, workers):
    loader = RepeatEachBatch(Counted(), batch_size=2, repeat=repeat, num_workers=workers)
    expected = [batch for batch in ([0, 1], [2, 3], [4]) for _ in range(repeat)]
    assert len(loader) == len(expected)
    assert values(loader) == values(loader) == expected


def test_no_batch_is_read_again():
    dataset = Counted()
    batches = list(RepeatEachBatch(dataset, batch_size=5))
    assert dataset.read == 5
    assert batches[0] is batches[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_only_the_first_batch_of_the_first_pass_has_come_before(workers):
    loader = RepeatEachBatch(Counted(), batch_size=2, given=1, num_workers=workers, persistent_workers=workers > 0)
    assert values(loader) == [[0, 1], [2, 3], [2, 3], [4], [4]]
    assert values(loader) == [[0, 1], [0, 1], [2, 3], [2, 3], [4], [4]]


def test_a_pass_that_was_begun_and_left_uses_nothing_up():
    """As Lightning may begin the first pass twice."""
    loader = RepeatEachBatch(Counted(), batch_size=2, given=1)
    iter(loader)
    assert values(loader)[:2] == [[0, 1], [2, 3]]


def test_it_is_a_data_loader_so_that_workers_are_shut_down_and_samplers_are_told_the_epoch():
    loader = RepeatEachBatch(Counted(), batch_size=2)
    assert isinstance(loader, DataLoader)
    assert loader.batch_sampler.sampler is loader.sampler
