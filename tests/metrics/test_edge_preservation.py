"""What Qabf says of edges that are kept or lost."""

import torch

from fusion_lab.metrics import edge_preservation
from tests.metrics.images import scene


def test_copies_and_losses():
    source_a, source_b = scene()
    kept = edge_preservation(source_a, source_a, source_a).item()
    # All edges are kept, so that only the two sigmoids' values at 1 and at the strength itself remain.
    assert 0.9 < kept <= 0.9994 * 0.9879
    black = torch.zeros_like(source_a)
    assert edge_preservation(black, source_a, source_b).item() < 0.01
    assert edge_preservation(source_a, black, black).item() == 0


def test_where_strengths_are_equal_the_strength_itself_counts():
    """The rule that makes images in [0, 1] score otherwise."""
    faint = torch.zeros(1, 1, 8, 8)
    faint[..., 4:] = 1
    strong = 100 * faint
    assert edge_preservation(strong, strong, strong) > edge_preservation(faint + strong, strong, strong)
