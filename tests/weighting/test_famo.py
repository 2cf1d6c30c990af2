import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion_lab.errors import FusionLabError
from fusion_lab.weighting import FAMO, Equal

TASKS = ["ivf", "mff", "mef"]


def named(values):
    return dict(zip(TASKS, torch.as_tensor(values), strict=False))


def random_losses(generator):
    return named(torch.rand(3, generator=generator) + 0.1)


def trained(steps, seed=0):
    famo = FAMO()
    famo.setup(TASKS)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        famo.update(random_losses(generator), random_losses(generator))
    return famo, generator


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3), st.integers(0, 5))
def test_gradient_weights_follow_their_formula_and_sum_to_one(values, steps):
    famo, _ = trained(steps)
    losses = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    (weights,) = torch.autograd.grad(famo(named(losses)), losses)
    shares = famo.logits.double().softmax(0) / (losses.detach() + 1e-8)
    torch.testing.assert_close(weights, shares / shares.sum(), rtol=1e-6, atol=1e-12)
    assert weights.sum().item() == pytest.approx(1)


def test_start_is_at_equal_weight_for_every_task():
    famo = FAMO()
    famo.setup(TASKS)
    assert famo.task_weights().tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), -1.0])
@pytest.mark.parametrize("when", ["before", "after"])
def test_loss_that_would_poison_the_logits_is_refused(bad, when):
    famo = FAMO()
    famo.setup(TASKS)
    good = named([1.0, 1.0, 2.0])
    pair = {"before": good, "after": good, when: named([1.0, bad, 2.0])}
    with pytest.raises(FusionLabError, match="positive losses, but that of task 'mff' is"):
        famo.update(**pair)
    assert not famo.logits.any()


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_loss_that_is_not_positive_is_told_with_its_task(bad):
    famo = FAMO()
    famo.setup(TASKS)
    with pytest.raises(FusionLabError, match="positive losses, but that of task 'mff' is"):
        famo(named([1.0, bad, 2.0]))


def test_task_that_improves_more_loses_weight():
    famo = FAMO()
    famo.setup(TASKS)
    numbers = famo.update(named([1.0, 1.0, 1.0]), named([0.5, 1.0, 1.0]))
    first, second, third = famo.task_weights().tolist()
    assert first < second == third
    assert numbers["weight/ivf"].item() == pytest.approx(first)
    assert numbers["logit/ivf"].item() == pytest.approx(famo.logits[0].item())
    assert set(numbers) == {f"{kind}/{task}" for kind in ("weight", "logit") for task in TASKS}


def test_one_step_is_adam_on_the_softmax_jacobian_times_the_fall():
    famo = FAMO(lr=0.1, weight_decay=0.01)
    famo.setup(TASKS)
    reference = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([reference], lr=0.1, weight_decay=0.01)
    generator = torch.Generator().manual_seed(3)
    for _ in range(10):
        before, after = random_losses(generator), random_losses(generator)
        fall = torch.stack([(before[t] + 1e-8).log() - (after[t] + 1e-8).log() for t in TASKS])
        optimizer.zero_grad()
        reference.softmax(0).backward(fall)
        optimizer.step()
        famo.update(before, after)
        torch.testing.assert_close(famo.logits, reference.detach(), rtol=1e-6, atol=1e-7)


def test_order_of_the_losses_does_not_matter():
    famo, _ = trained(4)
    losses = named([1.0, 2.0, 3.0])
    backwards = dict(reversed(losses.items()))
    assert famo(losses) == famo(backwards)
    other, _ = trained(4)
    famo.update(losses, named([0.5, 1.9, 3.1]))
    other.update(backwards, named([0.5, 1.9, 3.1]))
    assert torch.equal(famo.logits, other.logits)


def test_what_is_learnt_is_no_parameter_and_moves_with_the_module():
    famo, _ = trained(3)
    assert not list(famo.parameters())
    assert set(famo.state_dict()) == {"logits", "exp_avg", "exp_avg_sq", "steps"}
    assert all(buffer.dtype == torch.float64 for buffer in famo.double().buffers())


def test_saved_state_resumes_to_the_same_trajectory_bit_for_bit():
    famo, generator = trained(7)
    file = io.BytesIO()
    torch.save(famo.state_dict(), file)
    file.seek(0)
    resumed = FAMO()
    resumed.setup(TASKS)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    # Setting up once more, as happens at each start, forgets nothing.
    resumed.setup(list(TASKS))
    for _ in range(7):
        before, after = random_losses(generator), random_losses(generator)
        famo.update(before, after)
        resumed.update(before, after)
        assert torch.equal(resumed.logits, famo.logits)
    for name, tensor in famo.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


def test_saved_state_does_not_change_with_later_steps():
    famo, generator = trained(2)
    optimizer_state = {name: tensor.clone() for name, tensor in famo.state_dict().items()}
    fresh = FAMO()
    fresh.setup(TASKS)
    fresh.load_state_dict(optimizer_state)
    famo.update(random_losses(generator), random_losses(generator))
    assert torch.equal(fresh.steps, torch.tensor(2.0))


def relative_decreases(weighting, steps=300):
    """Two tasks that pull on one point, the losses of the second 100 times as large."""
    weighting.setup(["small", "large"])
    x = torch.tensor([0.0, 0.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.002)
    targets = torch.tensor([[1.0, 0.2], [0.2, 1.0]])

    def losses():
        small, large = (x - targets).square().sum(dim=1) + 0.1
        return {"small": small, "large": 100 * large}

    start = {task: loss.item() for task, loss in losses().items()}
    for _ in range(steps):
        before = losses()
        optimizer.zero_grad()
        loss = weighting(before)
        loss.backward()
        # Steps of one length whatever the weighting, so that only their direction counts.
        x.grad /= x.grad.norm()
        optimizer.step()
        with torch.no_grad():
            weighting.update({k: v.detach() for k, v in before.items()}, losses())
    return {task: 1 - loss.item() / start[task] for task, loss in losses().items()}


def test_famo_lets_losses_of_any_scale_fall_at_the_same_rate():
    fair, unfair = relative_decreases(FAMO()), relative_decreases(Equal())
    assert fair["small"] > 0.2
    assert max(fair.values()) < 2 * min(fair.values())
    assert max(unfair.values()) > 2 * min(unfair.values())
