"""VIF of copies and losses, and against torchmetrics."""

import pytest
import torch
from torchmetrics.functional.image import visual_information_fidelity

from fusion_lab.metrics import visual_information_fidelity_sum
from tests.metrics.images import random_triple, scene


def test_copies_and_losses():
    source_a, source_b = scene()
    assert visual_information_fidelity_sum(source_a, source_a, source_a).item() == pytest.approx(2, rel=1e-6)
    assert visual_information_fidelity_sum(torch.zeros_like(source_a), source_a, source_b).item() == 0
    assert visual_information_fidelity_sum(2 * source_a, source_a, source_a).item() > 2


def test_equals_the_sum_of_torchmetrics():
    fused, source_a, source_b = random_triple(1, 67, 53)
    expected = sum(visual_information_fidelity(fused, source) for source in (source_a, source_b))
    assert visual_information_fidelity_sum(fused, source_a, source_b).item() == pytest.approx(expected.item())
