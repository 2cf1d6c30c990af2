"""The metrics of structure and of visibility against published values and the field's own programs.

`PROGRAMS` is as in `tests.parity.test_metrics`; together they cover every golden value.
"""

import pytest
from torch import Tensor

from fusion_lab import metrics
from tests.parity.metric_programs import (
    Program,
    Score,
    check_golden_values,
    colour,
    grey_of_matlab,
    grey_of_opencv,
    of_all,
)

pytestmark = pytest.mark.shared


def mefb_mef_ssim(*images: Tensor) -> Tensor:
    """MEFB's only metric of the grey image."""
    return metrics.mef_ssim(*(grey_of_matlab(image[0].permute(1, 2, 0).squeeze(2).numpy()) for image in images))


def with_a(**options: float) -> Score:
    return lambda fused, source_a, source_b: metrics.wavelet_information_fidelity(fused, source_a, source_a, **options)


def with_b(**options: float) -> Score:
    return lambda fused, source_a, source_b: metrics.wavelet_information_fidelity(fused, source_b, source_b, **options)


PROGRAMS = {
    "VIFB": Program(
        colour,
        {
            "Ssim": of_all(metrics.fusion_ssim, reduction="sum", border="valid"),
            "Qcb": of_all(metrics.chen_blum),
            "Qcv": of_all(metrics.chen_varshney),
        },
    ),
    "MEFB": Program(
        colour,
        {
            "MEF_SSIM": mefb_mef_ssim,
            "Qc": of_all(metrics.cvejic_similarity),
            "Qcb": of_all(metrics.chen_blum),
            "Qcv": of_all(metrics.chen_varshney),
            "Qw": of_all(metrics.piella_edge_similarity),
            "Qy": of_all(metrics.yang_similarity),
            "VIF": of_all(metrics.fusion_fidelity),
        },
    ),
    "Tang2023": Program(
        grey_of_matlab,
        {
            "SSIM_as_called_L1": of_all(metrics.fusion_ssim, data_range=1),
            "SSIM_uint8_L255": of_all(metrics.fusion_ssim),
            "MS_SSIM": of_all(metrics.mef_ssim),
            "mef_ssim": of_all(metrics.mef_ssim, scales=1),
        },
    ),
    "CDDFuse": Program(
        grey_of_opencv,
        {
            f"SSIM_L{data_range}": of_all(
                metrics.fusion_ssim, reduction="sum", border="valid", window="uniform", data_range=data_range
            )
            for data_range in (2, 255)
        },
    ),
    "TextFusion": Program(
        grey_of_matlab,
        {
            "SSIM": of_all(metrics.fusion_ssim),
            "vifvec_a": with_a(),
            "vifvec_b": with_b(),
            "vifvec_a_255": with_a(data_range=255),
            "vifvec_b_255": with_b(data_range=255),
        },
    ),
}


@pytest.mark.parametrize(
    ("program", "metric"),
    [(program, metric) for program, entry in PROGRAMS.items() for metric in entry.scores],
)
def test_golden_values(shared, program, metric):
    check_golden_values(shared, program, metric, PROGRAMS[program])
