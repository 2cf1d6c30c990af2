import json
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from fusion_lab.errors import FusionLabError
from fusion_lab.inference import weights
from fusion_lab.inference.weights import build_network, convert, find_weights, load_network, save_network
from fusion_lab.networks import TITA, Average, FusionNetwork, LaplacianPyramid
from fusion_lab.networks.operations.high_pass import HighPass
from fusion_lab.public.weights import cached_weights

SMALL = {
    "embed_dim": 12, "num_heads": 2, "num_extraction_blocks": 1, "num_interaction_blocks": 2,
    "num_reconstruction_blocks": 1,
}  # fmt: skip


class Secret(FusionNetwork):
    """Built with an argument that no file can hold."""

    def __init__(self, secret=None):
        super().__init__()

    def forward(self, source_a, source_b):
        return source_a


class Hostile:
    """A pickle of this makes a folder when it is read."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def network():
    return TITA(**SMALL)


def checkpoint(network):
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    return {
        "state_dict": {**state, "weighting.logits": torch.zeros(3)},
        "network": network.description,
        "epoch": 3,
    }


def assert_same(network, other):
    assert type(network) is type(other)
    assert network.init_args.keys() == other.init_args.keys()
    own, others = network.state_dict(), other.state_dict()
    assert own.keys() == others.keys()
    assert all(torch.equal(own[name], others[name]) for name in own)


def official_state():
    """A few tensors of an official checkpoint by their official names."""
    names = {
        "conv_first1_A.weight": (30, 1, 3, 3),
        "fafb_A.channel_compressor.weight": (60, 60, 1, 1),
        "conv_first1_B.weight": (30, 1, 3, 3),
    }
    return {name: torch.rand(shape) for name, shape in names.items()}


def test_round_trip(network, tmp_path):
    save_network(network, tmp_path / "small.safetensors")
    loaded = load_network(tmp_path / "small.safetensors")
    assert_same(network, loaded)
    assert loaded.description == network.description
    assert not any(part.training for part in loaded.modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    a, b = torch.rand(2, 1, 1, 16, 24)
    torch.testing.assert_close(loaded(a, b), network.eval()(a, b))


def test_round_trip_of_other_classes_and_of_no_tensors(tmp_path):
    network = TITA(**SMALL, operations=(HighPass,))
    save_network(network, str(tmp_path / "small.safetensors"))
    assert_same(network, load_network(str(tmp_path / "small.safetensors")))
    save_network(Average(), tmp_path / "average.safetensors")
    assert isinstance(load_network(tmp_path / "average.safetensors"), Average)


def test_content_counts_not_the_name(network, tmp_path):
    save_network(network, tmp_path / "small.safetensors")
    (tmp_path / "small.safetensors").rename(tmp_path / "small.pth")
    assert_same(network, load_network(tmp_path / "small.pth"))


def test_lightning_checkpoint(network, tmp_path):
    torch.save(checkpoint(network), tmp_path / "last.ckpt")
    assert_same(network, load_network(tmp_path / "last.ckpt"))
    report = convert(tmp_path / "last.ckpt", tmp_path / "small.safetensors")
    assert report.dropped == ["weighting.logits"]
    assert len(report.used) == len(network.state_dict())
    assert_same(network, load_network(tmp_path / "small.safetensors"))


@pytest.mark.shared
@pytest.mark.parametrize("form", ["safetensors", "raw", "params"])
def test_official_checkpoint(shared, tmp_path, form):
    path = shared / "golden" / "tita" / "weights.safetensors"
    state = load_file(path)
    state["layers_Re.0.residual_group.blocks.0.attn.relative_position_index"] = torch.zeros(64, 64)
    if form != "safetensors":
        path = tmp_path / "20000_E.pth"
        torch.save(state if form == "raw" else {"params": state}, path)
    network = load_network(path)
    assert network.description == TITA().description
    report = convert(path, tmp_path / "tita.safetensors")
    assert not report.missing
    assert not report.unexpected
    assert {"conv_first1_B.weight", "conv_first2_B.bias"} <= set(report.dropped)
    assert len(report.used) + len(report.dropped) == 554 + (form != "safetensors")
    assert_same(network, load_network(tmp_path / "tita.safetensors"))


@pytest.mark.shared
def test_official_checkpoint_with_a_missing_and_an_unexpected_key(shared, tmp_path):
    state = load_file(shared / "golden" / "tita" / "weights.safetensors")
    state["layers_Re.0.residual_group.blocks.4.norm1.weight"] = torch.ones(60)
    torch.save(state, tmp_path / "deeper.pth")
    with pytest.raises(FusionLabError, match=r"1 unexpected \(layers_Re\.0\.residual_group\.blocks\.4\.norm1"):
        load_network(tmp_path / "deeper.pth")
    assert len(convert(tmp_path / "deeper.pth", tmp_path / "tita.safetensors").unexpected) == 1
    (tmp_path / "tita.safetensors").unlink()
    del state["norm_Re.weight"]
    torch.save(state, tmp_path / "deeper.pth")
    for read in (load_network, lambda path: convert(path, tmp_path / "tita.safetensors")):
        with pytest.raises(FusionLabError, match=r"1 missing \(reconstruction\.norm\.weight\); 1 unexpected"):
            read(tmp_path / "deeper.pth")
    assert not (tmp_path / "tita.safetensors").exists()


def test_convert_refuses_when_keys_are_missing(tmp_path):
    torch.save(official_state(), tmp_path / "few.pth")
    with pytest.raises(FusionLabError, match="missing"):
        convert(tmp_path / "few.pth", tmp_path / "few.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["few.pth"]


def test_other_shapes_are_told(tmp_path):
    state = official_state() | {"conv_first1_A.weight": torch.rand(15, 1, 3, 3)}
    torch.save(state, tmp_path / "narrow.pth")
    with pytest.raises(FusionLabError, match=r"conv_first1_A\.weight has the shape \(15, 1, 3, 3\)"):
        load_network(tmp_path / "narrow.pth")


@pytest.mark.parametrize("legacy", [False, True])
def test_hostile_pickle_is_refused(tmp_path, legacy):
    trap = tmp_path / "trap"
    torch.save({"params": Hostile(trap)}, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(FusionLabError, match="running code"):
        load_network(tmp_path / "evil.pth")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Hostile(trap)))
    with pytest.raises(FusionLabError):
        load_network(tmp_path / "bare.pth")
    assert not trap.exists()


def test_whole_pickled_module_is_refused(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(FusionLabError, match="running code"):
        load_network(tmp_path / "module.pth")


@pytest.mark.parametrize("content", [b"", b"not weights at all", bytes(100), b"\x10" + bytes(7) + b"{broken json   }"])
def test_broken_files_are_told(tmp_path, content):
    (tmp_path / "broken.safetensors").write_bytes(content)
    with pytest.raises(FusionLabError, match=r"broken\.safetensors are broken"):
        load_network(tmp_path / "broken.safetensors")


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_cut_files_are_told(network, tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    if suffix == ".ckpt":
        torch.save(checkpoint(network), path)
    else:
        save_network(network, path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FusionLabError, match=r"cut\..*broken"):
        load_network(path)


def test_missing_file_and_missing_shipped_network(tmp_path, monkeypatch):
    with pytest.raises(FusionLabError, match=r"absent\.pth do not exist"):
        load_network(tmp_path / "absent.pth")
    for path in (tmp_path, "x" * 300, "a\0b"):
        with pytest.raises(FusionLabError, match="do not exist"):
            load_network(path)
    monkeypatch.setattr(weights, "SHIPPED_WEIGHTS", tmp_path)
    with pytest.raises(FusionLabError, match="should come with the package is missing"):
        load_network()


def test_shipped_network(network, tmp_path, monkeypatch):
    save_network(network, tmp_path / "tita.safetensors")
    monkeypatch.setattr(weights, "SHIPPED_WEIGHTS", tmp_path)
    assert_same(network, load_network())
    assert_same(network, load_network("tita"))
    with pytest.raises(FusionLabError, match="The weights gifnet do not exist"):
        load_network("gifnet")


def test_networks_that_learn_nothing_need_no_file():
    assert isinstance(load_network("fusion_lab.networks.LaplacianPyramid"), LaplacianPyramid)
    with pytest.raises(FusionLabError, match="TITA has to learn before it can be used"):
        load_network("fusion_lab.networks.TITA")
    with pytest.raises(FusionLabError, match=r"fusion_lab\.networks\.Nothing do not exist"):
        load_network("fusion_lab.networks.Nothing")


def test_a_file_goes_before_the_shipped_network_of_its_name(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_network(network, tmp_path / "own.safetensors")
    (tmp_path / "own.safetensors").rename(tmp_path / "tita")
    assert_same(network, load_network("tita"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"features.0.weight": torch.ones(2)}, r"another network.*features\.0\.weight"),
        ({"params": {"conv.weight": torch.ones(2)}}, r"another network.*conv\.weight"),
        ({}, "another network.*nothing"),
        ([torch.ones(2)], "but a list"),
        (torch.ones(2), "but a Tensor"),
        ({"state_dict": {"model.weight": torch.ones(2)}, "epoch": 1}, r"another program.*model\.weight"),
        ({"state_dict": 5, "network": {"class_path": "x"}}, "another program"),
        ({"fafb_A.channel_compressor.weight": torch.ones(2), "step": 4}, "more than tensors: step"),
    ],
)
def test_other_checkpoints_are_told(tmp_path, content, told):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(FusionLabError, match=told):
        load_network(tmp_path / "other.pth")


WRAPPED = {
    "module.": lambda s: {f"module.{k}": v for k, v in s.items()},
    "module._orig_mod.": lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
    "state_dict": lambda s: {"state_dict": s, "epoch": 3, "best": np.float64(0.25)},
    "model": lambda s: {"model": {f"module.{k}": v for k, v in s.items()}, "epoch": np.int64(7), "optimizer": {}},
    "model_state_dict": lambda s: {"model_state_dict": s, "history": [1.0, 2.0], "name": "x"},
    "net": lambda s: {"net": s, "psnr": np.float32(30)},
    "generator": lambda s: {"generator": s, "discriminator": {"a.weight": torch.ones(2)}},
    "prefix of a generator": lambda s: {
        **{f"generator.{k}": v for k, v in s.items()}, "discriminator.a.weight": torch.ones(2),
    },
    "numbers among tensors": lambda s: {**s, "best": np.float64(1)},
    "parameters": lambda s: {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in s.items()},
    "another program of Lightning": lambda s: {
        "state_dict": {f"net.{k}": v for k, v in s.items()}, "pytorch-lightning_version": "2.0", "loops": {},
    },
}  # fmt: skip


@pytest.mark.shared
@pytest.mark.parametrize("form", WRAPPED)
def test_checkpoints_as_training_leaves_them(shared, tmp_path, form):
    state = load_file(shared / "golden" / "tita" / "weights.safetensors")
    torch.save(state, tmp_path / "plain.pth")
    torch.save(WRAPPED[form](state), tmp_path / "wrapped.pth")
    assert_same(load_network(tmp_path / "plain.pth"), load_network(tmp_path / "wrapped.pth"))


def test_numbers_of_the_first_numpy(tmp_path):
    """Written as NumPy 1 did, which called its module otherwise."""
    torch.save({"model": {"a.weight": torch.ones(2)}, "best": np.float64(0.5)}, tmp_path / "new.pth")
    with zipfile.ZipFile(tmp_path / "new.pth") as new, zipfile.ZipFile(tmp_path / "old.pth", "w") as old:
        for entry in new.infolist():
            data = new.read(entry).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
            old.writestr(entry, data)
    for name in ("new", "old"):
        with pytest.raises(FusionLabError, match=r"of another network: they hold model, best"):
            load_network(tmp_path / f"{name}.pth")


def test_arrays_of_objects_are_refused(tmp_path):
    torch.save({"model": {}, "best": np.array([Hostile(tmp_path / "trap")], object)}, tmp_path / "a.pth")
    with pytest.raises(FusionLabError, match="running code"):
        load_network(tmp_path / "a.pth")
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("told", ["no json", "[1]", json.dumps({"class_path": 5})])
def test_safetensors_that_tell_nonsense(tmp_path, told):
    save_file({"weight": torch.ones(2)}, tmp_path / "odd.safetensors", {"network": told})
    with pytest.raises(FusionLabError):
        load_network(tmp_path / "odd.safetensors")


def test_safetensors_without_description_are_told(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "bare.safetensors")
    with pytest.raises(FusionLabError, match=r"another network.*adaptation"):
        load_network(tmp_path / "bare.safetensors")


@pytest.mark.parametrize(
    ("class_path", "init_args", "told"),
    [
        ("os.system", {"command": "true"}, "no fusion network"),
        ("torch.nn.Linear", {"in_features": 1, "out_features": 1}, "no fusion network"),
        ("fusion_lab.networks.FusionNetwork", {}, "no fusion network"),
        ("fusion_lab.networks.Tita", {}, "no fusion network"),
        ("absent.module.Network", {}, "no fusion network"),
        ("TITA", {}, "no fusion network"),
        ("...", {}, "no fusion network"),
        ("fusion_lab.networks.TITA", {"embd_dim": 12}, "embd_dim"),
        ("fusion_lab.networks.TITA", {"embed_dim": "wide"}, "embed_dim.*wide"),
        ("fusion_lab.networks.TITA", {"embed_dim": 13, "num_heads": 2}, "multiple of `num_heads`"),
        ("fusion_lab.networks.TITA", {"pixel_attention": "os.system"}, r"pixel_attention.*os\.system"),
        ("fusion_lab.networks.TITA", {"operations": ["torch.nn.Linear"]}, "operations"),
        ("fusion_lab.networks.TITA", {"num_heads": 0}, "zero"),
        ("fusion_lab.networks.TITA", {"embed_dim": 10**30, "num_heads": 1}, "embed_dim|size|Overflow"),
        ("fusion_lab.networks.TITA", {"mlp_ratio": float("nan")}, "NaN"),
        ("fusion_lab.networks.TITA", {"drop_path+": 1}, "drop_path"),
        ("fusion_lab.networks.Average", {"weight": 1}, "weight"),
        ("fusion_lab.networks.TITA", [12, 2], "dictionary"),
    ],
)
def test_bad_descriptions_are_told(class_path, init_args, told):
    with pytest.raises(FusionLabError, match=told) as raised:
        build_network({"class_path": class_path, "init_args": init_args})
    assert str(raised.value).endswith(".")
    assert len(str(raised.value)) < 700


def test_description_builds_the_same_network(network):
    assert build_network(network.description).description == network.description
    assert isinstance(build_network({"class_path": "fusion_lab.networks.Average"}), Average)


def test_unknown_device_is_told(network, tmp_path):
    save_network(network, tmp_path / "small.safetensors")
    with pytest.raises(FusionLabError, match="no device 'abacus'"):
        load_network(tmp_path / "small.safetensors", "abacus")


def test_half_the_space_is_one_grey_level_at_most(tmp_path):
    convert("tita", tmp_path / "whole.safetensors")
    convert("tita", tmp_path / "half.safetensors", half=True)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("whole", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    whole, half = (load_network(tmp_path / f"{name}.safetensors") for name in ("whole", "half"))
    assert {x.dtype for x in half.parameters()} == {torch.float32}
    a, b = torch.rand(2, 1, 1, 32, 40)
    with torch.no_grad():
        assert (whole(a, b) - half(a, b)).abs().max() < 1 / 255


def test_what_cannot_be_saved_is_told(network, tmp_path):
    with pytest.raises(FusionLabError, match=r"should end in \.safetensors"):
        save_network(network, tmp_path / "small.pth")
    with pytest.raises(FusionLabError, match="no plain data"):
        save_network(Secret(object()), tmp_path / "secret.safetensors")
    assert not list(tmp_path.iterdir())


def test_failed_write_leaves_the_old_file(network, tmp_path, monkeypatch):
    path = tmp_path / "small.safetensors"
    save_network(network, path)
    before = path.read_bytes()

    def fail(tensors, temporary, metadata):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(weights, "save_file", fail)
    with pytest.raises(FusionLabError, match="disk full"):
        save_network(TITA(**SMALL), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_is_the_description(network, tmp_path):
    save_network(network, tmp_path / "small.safetensors")
    with safe_open(tmp_path / "small.safetensors", "pt") as stored:
        assert json.loads(stored.metadata()["network"]) == network.description


def test_published_weights_are_found_where_they_were_fetched_to(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(FusionLabError, match="are not here yet: `fusion-lab weights get gifnet-official`"):
        find_weights("gifnet-official")
    fetched = cached_weights("gifnet-official")
    fetched.parent.mkdir(parents=True)
    fetched.touch()
    assert find_weights("gifnet-official") == fetched


def test_a_folder_hides_no_packaged_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("tita", "gifnet"):
        (tmp_path / name).mkdir()
        assert find_weights(name).is_file()
