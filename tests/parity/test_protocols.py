"""The protocols, from decoded files to the columns of a table, against what the programs say of the same files."""

import pytest

from fusion_lab.metrics.protocols import CDDFUSE, GIFNET, VIFB, Protocol
from tests.parity.metric_programs import decoded, golden_cases

pytestmark = pytest.mark.shared

VIFB_NAMES = {
    "CE": "Cross_entropy",
    "EN": "Entropy",
    "MI": "Mutinf",
    "PSNR": "Psnr",
    "AG": "Avg_gradient",
    "EI": "Edge_intensity",
    "Qabf": "Qabf",
    "SD": "Variance",
    "SF": "Spatial_frequency",
    "RMSE": "Rmse",
    "SSIM": "Ssim",
    "Qcb": "Qcb",
    "Qcv": "Qcv",
}
CDDFUSE_NAMES = {label: label for label in CDDFUSE.metrics} | {"SSIM": "SSIM_L2"}


@pytest.mark.parametrize(
    ("protocol", "program", "names", "case"),
    [
        (VIFB, "VIFB", VIFB_NAMES, "vifb/carWhite/GTF"),
        (VIFB, "VIFB", VIFB_NAMES, "vifb/walking/IFCNN"),
        (CDDFUSE, "CDDFuse", CDDFUSE_NAMES, "vifb/walking/CBF"),
        (CDDFUSE, "CDDFuse", CDDFUSE_NAMES, "tno/34/DenseFuse"),
    ],
)
def test_columns_equal_the_program(shared, protocol, program, names, case):
    found = scores(shared, protocol, case)
    golden = golden_cases(shared / "golden" / "metrics")[case]["values"]
    assert set(names) == set(found)
    for label, name in names.items():
        values = [value for value in golden if value["metric"] == f"{program}.{name}"]
        assert values, name
        for value in values:
            assert found[label] == pytest.approx(value["value"], rel=value["rtol"]), label


def test_gifnet_has_what_textfusion_releases(shared):
    case = "textfusion/1"
    found = scores(shared, GIFNET, case)
    golden = {v["metric"]: v for v in golden_cases(shared / "golden" / "metrics")[case]["values"]}
    assert found["SCD"] == pytest.approx(golden["TextFusion.SCD_uint8"]["value"], rel=1e-9)
    both = golden["TextFusion.vifvec_a"]["value"] + golden["TextFusion.vifvec_b"]["value"]
    assert found["VIF"] == pytest.approx(both / 2, rel=1e-9)


def test_the_other_readings_of_gifnets_columns(shared):
    """In [0, 1] the same triple has 1.55 as the sum of both sources (spec/METRICS.md, input range), not 0.96."""
    found = scores(shared, GIFNET, "tno/08/DenseFuse")
    golden = {v["metric"]: v for v in golden_cases(shared / "golden" / "metrics")["tno/08/DenseFuse"]["values"]}
    assert 2 * found["VIFp"] == pytest.approx(1.55, abs=0.005)
    assert found["SCD_plain"] == pytest.approx(golden["Tang2023.SCD"]["value"], rel=1e-9)


def scores(shared, protocol: Protocol, case: str) -> dict[str, float]:
    folder = shared / "golden" / "metrics"
    return protocol.scores(*(decoded(folder / "images" / golden_cases(folder)[case][role]) for role in "fab"))
