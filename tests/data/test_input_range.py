import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from fusion_lab.data import PairDataset
from fusion_lab.data.images import read_picture
from fusion_lab.data.input_range import FULL, InputRange
from fusion_lab.data.pairs import load_pairs
from fusion_lab.errors import FusionLabError

SIZE = (20, 30)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("full", FULL),
        (" minmax ", InputRange("minmax")),
        ("1%..99%", InputRange("percentiles", 1, 99)),
        ("0.5%..99.9%", InputRange("percentiles", 0.5, 99.9)),
        ("7000..9500", InputRange("levels", 7000, 9500)),
        ("-20.5..1e2", InputRange("levels", -20.5, 100)),
        ("0..1", InputRange("levels", 0, 1)),
    ],
)
def test_texts(text, expected):
    assert InputRange.of(text) == expected
    assert InputRange.of(str(expected)) == expected
    assert InputRange.of(expected) is expected


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_every_range_can_be_written_and_read(low, width):
    levels = InputRange("levels", low, low + width)
    if levels.low < levels.high:
        assert InputRange.of(str(levels)) == levels


@pytest.mark.parametrize(
    "text", ["", "all", "1..1", "9..2", "1%..101%", "-1%..9%", "1%..9", "..", "1...2", "nan..1", "0..1e999"]
)
def test_other_texts_are_told(text):
    with pytest.raises(FusionLabError, match=r"input range '.*' should be full, minmax, two percentiles"):
        InputRange.of(text)


def test_levels_of_values():
    values = np.arange(101.0)
    assert InputRange.of("minmax").of_values(values) == InputRange("levels", 0, 100)
    assert InputRange.of("5%..90%").of_values(values) == InputRange("levels", 5, 90)
    halves = [values[:50], values[50:].reshape(3, 17)]
    assert InputRange.of("5%..90%").of_all(halves) == InputRange("levels", 5, 90)
    assert InputRange.of("minmax").of_all(halves) == InputRange("levels", 0, 100)


def test_what_is_undefined_counts_for_nothing(tmp_path):
    degrees = np.linspace(-20, 120, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    degrees[0, 0], degrees[0, 1], degrees[0, 2] = np.nan, np.inf, -9999
    tifffile.imwrite(tmp_path / "a.tif", degrees, extratags=[(42113, 2, 6, "-9999")])
    read = read_picture(tmp_path / "a.tif", "minmax").pixels
    assert read[0, :3].tolist() == [0, 65535, 0]
    defined = degrees.ravel()[3:]
    expected = (defined - defined.min()) / np.ptp(defined)
    assert abs(read.ravel()[3:] / 65535 - expected).max() < 1e-4
    tifffile.imwrite(tmp_path / "b.tif", np.full(SIZE, np.nan, np.float32))
    with pytest.raises(FusionLabError, match=r"b\.tif has no value that is defined"):
        read_picture(tmp_path / "b.tif", "minmax")


def test_a_flat_image_is_black(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.full(SIZE, 300, np.uint16))
    assert not read_picture(tmp_path / "a.tif", "minmax").pixels.any()


def test_few_bits_stay_few(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.linspace(50, 100, 600).reshape(SIZE).astype(np.uint8))
    read = read_picture(tmp_path / "a.tif", "50..100").pixels
    assert (read.dtype, read.min(), read.max()) == (np.uint8, 0, 255)


def test_zero_as_white(tmp_path):
    heat = np.linspace(-20, 120, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    tifffile.imwrite(tmp_path / "a.tif", heat, photometric="miniswhite")
    read = read_picture(tmp_path / "a.tif", "minmax").pixels
    assert (read[0, 0], read[-1, -1]) == (65535, 0)
    with pytest.raises(FusionLabError, match="float32, of which zero is white"):
        read_picture(tmp_path / "a.tif")


@pytest.fixture
def thermal(tmp_path):
    for number, low in enumerate((1000, 3000)):
        for role in "ab":
            (tmp_path / role).mkdir(exist_ok=True)
            values = np.linspace(low, low + 1000, SIZE[0] * SIZE[1]).reshape(SIZE)
            tifffile.imwrite(tmp_path / role / f"{number}.tif", np.rint(values).astype(np.uint16))
    return tmp_path


def test_training_sees_the_range(thermal):
    each = PairDataset(thermal, range_a="minmax", range_b="2000..3000")
    assert [(s["source_a"].min().item(), s["source_a"].max().item()) for s in (each[0], each[1])] == [(0, 1), (0, 1)]
    assert [(s["source_b"].min().item(), s["source_b"].max().item()) for s in (each[0], each[1])] == [(0, 0), (1, 1)]
    together = PairDataset(thermal, range_b="minmax", range_over="dataset")
    assert together[0]["source_b"].max().item() == pytest.approx(1 / 3, abs=1e-3)
    assert together[1]["source_b"].min().item() == pytest.approx(2 / 3, abs=1e-3)
    assert together[1]["range_b"] == "1000.0..4000.0"
    (_, a, _), _ = load_pairs(thermal / "a", thermal / "b", range_a="minmax")
    assert a.max() == 1


def test_a_broken_file_does_not_end_the_search_for_the_range(thermal):
    (thermal / "b" / "0.tif").write_bytes(b"II*\0")
    assert str(PairDataset(thermal, range_b="minmax", range_over="dataset").pairs[1].range_b) == "3000.0..4000.0"
    (thermal / "b" / "1.tif").write_bytes(b"II*\0")
    with pytest.raises(FusionLabError, match=r"0\.tif is broken"):
        PairDataset(thermal, range_b="minmax", range_over="dataset").pairs  # noqa: B018


@pytest.mark.parametrize("arguments", [{"range_a": "some"}, {"range_over": "all"}])
def test_mistakes_are_told_at_once(arguments):
    with pytest.raises(FusionLabError, match="should be"):
        PairDataset(**arguments)


@pytest.mark.parametrize("size", [(640, 480, 3), (640, 512, 3), (512, 1024), (997, 991)])
def test_percentiles_of_many_images_look_at_all_channels_and_columns(size):
    values = np.zeros(size, np.uint16)
    # Channels of a colour image, or columns of a grey one, that have nothing in common.
    values += np.resize(np.array([100, 5000, 60000], np.uint16), size[-1])
    percentiles = InputRange.of("1%..99%")
    assert percentiles.of_all([values]) == percentiles.of_values(values)
