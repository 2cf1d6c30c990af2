import torch

from fusion_lab.weighting import Equal


def test_sum_of_all_losses_with_equal_gradients():
    losses = {"ivf": torch.tensor(2.0, requires_grad=True), "mff": torch.tensor(-0.5, requires_grad=True)}
    weighting = Equal()
    weighting.setup(list(losses))
    total = weighting(losses)
    total.backward()
    assert total.shape == ()
    assert total.item() == 1.5
    assert [loss.grad.item() for loss in losses.values()] == [1, 1]


def test_nothing_is_learnt_and_no_second_measurement_is_asked_for():
    weighting = Equal()
    assert not weighting.measures_again
    assert not weighting.state_dict()
    assert weighting.update({"ivf": torch.tensor(1.0)}, {"ivf": torch.tensor(0.5)}) == {}
