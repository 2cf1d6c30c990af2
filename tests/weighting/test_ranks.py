"""Several processes combine the tasks as one process with all of their data would, and alike."""

import multiprocessing

import pytest
import torch
import torchjd.aggregation
import torchjd.scalarization
from torch import distributed

from fusion_lab.weighting import Aggregation, Scalarization

RANKS = 2
TASKS = ["ivf", "mff", "mef"]
DATA = torch.randn(2 * RANKS, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def gradient(weighting, rows):
    """The gradient of the weighted losses of one small layer on some rows of the data, and the losses' weights."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(5, 3).double()
    weighting.setup(TASKS)
    losses = dict(zip(TASKS, (layer(rows) - torch.arange(3.0)).square().mean(dim=0), strict=True))
    # As on GPUs, each process has drawn something else by now.
    torch.manual_seed(int(rows[0, 0] * 1e6) % 2**31)
    loss = weighting(losses)
    weights = torch.autograd.grad(loss, list(losses.values()), retain_graph=True, allow_unused=True)
    loss.backward()
    flat = torch.cat([parameter.grad.flatten() for parameter in layer.parameters()])
    return flat.tolist(), [weight.item() for weight in weights if weight is not None]


def rank(number, file, weighting, results):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{file}", rank=number, world_size=RANKS)
    results.put((number, gradient(weighting, DATA[2 * number : 2 * number + 2])))
    distributed.destroy_process_group()


def on_ranks(tmp_path, weighting):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    arguments = (str(tmp_path / "meeting"), weighting, results)
    processes = [context.Process(target=rank, args=(number, *arguments)) for number in range(RANKS)]
    for process in processes:
        process.start()
    told = dict(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    return [told[number] for number in range(RANKS)]


@pytest.mark.parametrize("name", ["MGDA", "UPGrad", "AlignedMTL"])
def test_gradients_are_averaged_before_they_are_combined(tmp_path, name):
    (first, _), (second, _) = on_ranks(tmp_path, Aggregation(getattr(torchjd.aggregation, name)()))
    single, _ = gradient(Aggregation(getattr(torchjd.aggregation, name)()), DATA)
    assert first == second
    assert first == pytest.approx(single, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("name", ["PCGrad", "GradDrop", "Random"])
def test_random_combinations_are_the_same_on_all_ranks(tmp_path, name):
    (first, _), (second, _) = on_ranks(tmp_path, Aggregation(getattr(torchjd.aggregation, name)()))
    assert first == second


def test_random_weights_are_the_same_on_all_ranks(tmp_path):
    (_, first), (_, second) = on_ranks(tmp_path, Scalarization(torchjd.scalarization.Random()))
    assert len(first) == len(TASKS)
    assert first == second
