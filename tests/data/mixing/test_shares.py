import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion_lab.data.mixing import EqualShares, Proportional, Shares, Temperature
from fusion_lab.errors import FusionLabError
from fusion_lab.runs.build import build
from fusion_lab.runs.compose import compose, override

SIZES = st.dictionaries(st.sampled_from(["ivf", "mff", "mef", "mif"]), st.integers(1, 20000), min_size=1)
OFFICIAL = {"ivf": 12025, "mff": 842, "mef": 360}


@given(SIZES, st.floats(0.5, 50))
def test_shares_are_positive_and_one_in_sum(sizes, temperature):
    by_hand = Shares({task: size / 7 for task, size in sizes.items()})
    for mixing in (EqualShares(), Proportional(), Temperature(temperature), by_hand):
        shares = mixing.shares(sizes)
        assert list(shares) == list(sizes)
        assert all(share > 0 for share in shares.values())
        assert sum(shares.values()) == pytest.approx(1)


def test_values():
    assert EqualShares().shares(OFFICIAL) == dict.fromkeys(OFFICIAL, 1 / 3)
    assert Proportional().shares({"ivf": 30, "mff": 10}) == {"ivf": 0.75, "mff": 0.25}
    assert Temperature(2).shares({"ivf": 900, "mff": 100}) == pytest.approx({"ivf": 0.75, "mff": 0.25})
    # In the order of the data, whatever that of the shares.
    assert list(Shares({"mff": 1, "ivf": 3}).shares({"ivf": 1, "mff": 9}).items()) == [("ivf", 0.75), ("mff", 0.25)]


@given(SIZES)
def test_temperature_goes_from_one_pool_to_equal_shares(sizes):
    assert Temperature(1).shares(sizes) == pytest.approx(Proportional().shares(sizes))
    assert Temperature(1e6).shares(sizes) == pytest.approx(EqualShares().shares(sizes), rel=1e-4)
    assert Temperature(math.inf).shares(sizes) == pytest.approx(EqualShares().shares(sizes))


def test_higher_temperatures_are_flatter():
    smallest = [Temperature(t).shares(OFFICIAL)["mef"] for t in (0.5, 1, 2, 5, 100)]
    assert smallest == sorted(smallest)


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(FusionLabError, match=r"init_args.temperature` should be greater than 0. Found `temperature = "):
        Temperature(temperature)


@pytest.mark.parametrize("share", [0, -1.0, math.nan, math.inf])
def test_every_share_must_be_positive(share):
    with pytest.raises(FusionLabError, match=r"Found `mff: .*` in `data.init_args.mixing.init_args.shares`: to leave"):
        Shares({"ivf": 1, "mff": share})


def test_task_without_a_share_is_told():
    with pytest.raises(FusionLabError, match=r"`data.init_args.mixing.init_args.shares` lacks mff, mef: give"):
        Shares({"ivf": 1}).shares(OFFICIAL)


def test_share_without_a_task_is_told():
    shares = Shares({**OFFICIAL, "pan": 1, "mif": 2})
    with pytest.raises(
        FusionLabError, match=r"init_args.shares` names pan, mif, .* give shares to ivf, mff, mef alone"
    ):
        shares.shares(OFFICIAL)


def test_older_configurations_find_equal_shares_by_their_old_name(data_root):
    changed = {"exp.data_root": str(data_root), "data.mixing": {"class_path": "fusion_lab.data.mixing.Equal"}}
    run = build("fit", override(compose([Path("tita/embedded")]), changed))
    assert isinstance(run.datamodule.mixing, EqualShares)
