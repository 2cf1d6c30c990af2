import subprocess
import sys

import pytest
import torch

from fusion_lab.cli.weights import main
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.weights import load_network, save_network
from fusion_lab.networks import TITA


@pytest.fixture
def network():
    return TITA(12, 2, num_extraction_blocks=1, num_interaction_blocks=2, num_reconstruction_blocks=1)


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_info(network, tmp_path, capsys):
    save_network(network, tmp_path / "small.safetensors")
    assert run("info", tmp_path / "small.safetensors") == 0
    told = capsys.readouterr().out
    assert "weights of fusion_lab" in told
    assert "fusion_lab.networks.tita.TITA" in told
    assert f"{sum(p.numel() for p in network.parameters()):,}" in told
    for name, part in network.parts().items():
        row = next(line for line in told.splitlines() if f" {name} " in line)
        assert f"{sum(p.numel() for p in part.parameters()):,}" in row
    for name in network.init_args:
        assert f" {name} " in told


def test_convert_a_training_checkpoint(network, tmp_path, capsys):
    state = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    content = {"state_dict": {**state, "weighting.logits": torch.zeros(3)}, "network": network.description}
    torch.save(content, tmp_path / "last.ckpt")
    assert run("convert", tmp_path / "last.ckpt", "-o", tmp_path / "small.safetensors") == 0
    told = capsys.readouterr().out
    assert "Lightning checkpoint" in told
    assert f"{len(state)} keys used" in told
    assert "1 keys dropped, of no use to the network:\n  weighting.logits\n" in told
    assert "0 keys missing" in told
    load_network(tmp_path / "small.safetensors")


@pytest.mark.shared
def test_convert_gifnet_by_name(shared, tmp_path, capsys):
    source = shared / "golden" / "gifnet" / "Final.model"
    assert run("convert", "--network", "gifnet", source, "-o", tmp_path / "gifnet.safetensors") == 0
    assert "official GIFNet checkpoint" in capsys.readouterr().out
    with pytest.raises(FusionLabError, match="not official TITA checkpoint"):
        run("convert", "--network", "tita", source, "-o", tmp_path / "tita.safetensors")


@pytest.mark.shared
def test_convert_official_weights(shared, tmp_path, capsys):
    source = shared / "golden" / "tita" / "weights.safetensors"
    assert run("convert", source, "--output", tmp_path / "tita.safetensors") == 0
    told = capsys.readouterr().out
    assert "official TITA checkpoint" in told
    for line in (
        "550 keys used",
        "4 keys dropped",
        "0 keys unexpected",
        "0 keys missing",
        "  conv_first2_B.bias",
    ):
        assert line in told
    assert run("info", tmp_path / "tita.safetensors") == 0
    assert "1,378,435" in capsys.readouterr().out


def test_convert_only_what_is_asked_for(network, tmp_path):
    save_network(network, tmp_path / "ours.safetensors")
    torch.save({"fafb_A.channel_compressor.weight": torch.ones(60, 60, 1, 1)}, tmp_path / "tita.pth")
    for source, name, told in (
        ("tita.pth", "gifnet", "asked for: official TITA checkpoint, not official GIFNet checkpoint"),
        ("tita.pth", "swinfusion", "not official SwinFusion checkpoint"),
        ("ours.safetensors", "tita", "weights of fusion_lab, not official TITA checkpoint"),
        ("ours.safetensors", "resnet", "no release 'resnet': choose one of tita, gifnet, ifcnn, swinfusion"),
        # The kind is right: what is told then is the next mistake.
        ("tita.pth", "tita", "missing"),
    ):
        with pytest.raises(FusionLabError, match=told) as error:
            run("convert", tmp_path / source, "-o", tmp_path / "out.safetensors", "--network", name)
        assert "\n" not in str(error.value)
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "convert,info"),
        (["show"], "show"),
        (["convert", "a.pth"], "output"),
        (["info", "absent.pth"], r"absent\.pth do not exist"),
        (["convert", "absent.pth", "-o", "b.safetensors"], r"absent\.pth do not exist"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told):
    with pytest.raises(FusionLabError, match=told) as error:
        main(arguments)
    assert "\n" not in str(error.value)


def test_incomplete_checkpoint_is_not_converted(tmp_path):
    torch.save({"fafb_A.channel_compressor.weight": torch.ones(60, 60, 1, 1)}, tmp_path / "few.pth")
    with pytest.raises(FusionLabError, match="missing"):
        run("convert", tmp_path / "few.pth", "-o", tmp_path / "few.safetensors")
    assert not (tmp_path / "few.safetensors").exists()


def test_info_of_a_shipped_network_and_a_reader_that_has_seen_enough():
    """As ``fusion-lab weights info gifnet | head -1``."""
    command = [sys.executable, "-m", "fusion_lab.cli.main", "weights", "info", "gifnet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "gifnet.safetensors: weights of fusion_lab" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        # Rich ends with 1 by itself.
        assert process.wait(60) in (0, 1, 141)
