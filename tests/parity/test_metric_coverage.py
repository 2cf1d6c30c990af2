"""No golden value is left out."""

import pytest

from tests.parity import test_metrics, test_structural_metrics
from tests.parity.metric_programs import golden_cases

pytestmark = pytest.mark.shared


def test_every_golden_value_has_a_metric(shared):
    cases = golden_cases(shared / "golden" / "metrics").values()
    golden = [value["metric"] for case in cases for value in case["values"]]
    covered = [
        f"{program}.{metric}"
        for programs in (test_metrics.PROGRAMS, test_structural_metrics.PROGRAMS)
        for program, entry in programs.items()
        for metric in entry.scores
    ]
    assert set(golden) == set(covered)
    assert len(covered) == len(set(covered))
    assert (len(golden), len(covered)) == (1595, 87)
