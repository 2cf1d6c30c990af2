"""PA, which IPA modifies, and SwinFusion, which TITA is built on, against stored results of their official code."""

import zlib

import pytest
import torch
from safetensors.torch import load_file

from fusion_lab.inference.weights import load_network
from fusion_lab.networks.attention import PA

pytestmark = pytest.mark.shared


def test_pixel_attention_of_geminifusion(shared):
    golden = load_file(shared / "golden" / "tita" / "pa_geminifusion.safetensors")
    golden = {name: tensor.double() for name, tensor in golden.items()}
    pa = PA(60, 6).double()
    with torch.no_grad():
        for side, direction in (("a", "0_to_1"), ("b", "1_to_0")):
            attention, stem = getattr(pa, f"attention_{side}"), f"param.cross_attn_{direction}"
            for kind in ("weight", "bias"):
                stacked = golden[f"{stem}.in_proj_{kind}"].chunk(3)
                for layer, value in zip((attention.query, attention.key, attention.value), stacked, strict=True):
                    getattr(layer, kind).copy_(value)
                getattr(attention.projection, kind).copy_(golden[f"{stem}.out_proj.{kind}"])
        for index, layer in ((0, "fc1"), (2, "fc2")):
            for kind in ("weight", "bias"):
                getattr(pa.discriminator[index], kind).copy_(golden[f"param.relation_judger.0.{layer}.{kind}"])
        pa.noise1.copy_(golden["param.k_noise.weight"])
        pa.noise2.copy_(golden["param.v_noise.weight"])
        x, y = golden["stream0_before_PA"], golden["stream1_before_PA"]
        after = pa(x, y)
        for own, other, row, stream in ((x, y, 0, "0_to_1"), (y, x, 1, "1_to_0")):
            score = pa.relation_score(own, other)
            torch.testing.assert_close(score, golden[f"phi{row}"], atol=1e-6, rtol=0)
            keys, values = pa.keys_and_values(own, other, score, pa.noise1[row], pa.noise2[row])
            for ours, name in ((keys, "keys"), (values, "values")):
                official = golden[f"cross_attn_{stream}.{name}"]
                torch.testing.assert_close(torch.cat(ours), official, atol=1e-6, rtol=0)
    for stream, ours in enumerate(after):
        torch.testing.assert_close(ours, golden[f"stream{stream}_after_PA"], atol=2e-6, rtol=0)


def swin_names(stem, attention="attn", side=""):
    """The parameters of a block, or of one stream of an inter-domain block, as (name, shape)."""
    project = {"attn": [("qkv", 180)], "cross": [("q", 60), ("kv", 120)]}[attention]
    layers = [(f"attn{side}.{name}", width, 60) for name, width in [*project, ("proj", 60)]]
    layers += [(f"mlp{side}.fc1", 120, 60), (f"mlp{side}.fc2", 60, 120)]
    yield f"{stem}.attn{side}.relative_position_bias_table", (225, 6)
    for norm in ("norm1", "norm2"):
        yield f"{stem}.{norm}{side}.weight", (60,)
        yield f"{stem}.{norm}{side}.bias", (60,)
    for name, out, width in layers:
        yield f"{stem}.{name}.weight", (out, width)
        yield f"{stem}.{name}.bias", (out,)


def swinfusion_names():
    """All parameters of the official SwinFusion, as (name, shape)."""
    for name, out, width in (
        ("conv_first1_A", 30, 1),
        ("conv_first1_B", 30, 1),
        ("conv_first2_A", 60, 30),
        ("conv_first2_B", 30, 30),
        ("conv_after_body_Fusion", 60, 120),
        ("conv_last1", 30, 60),
        ("conv_last2", 15, 30),
        ("conv_last3", 1, 15),
    ):
        yield f"{name}.weight", (out, width, 3, 3)
        yield f"{name}.bias", (out,)
    for norm in ("patch_embed.norm", "norm_Ex_A", "norm_Ex_B", "norm_Fusion_A", "norm_Fusion_B", "norm_Re"):
        yield f"{norm}.weight", (60,)
        yield f"{norm}.bias", (60,)
    for stage in ("Ex_A", "Ex_B", "Re"):
        for i in range(4):
            yield from swin_names(f"layers_{stage}.0.residual_group.blocks.{i}")
    for group in range(2):
        for i in range(2):
            stem = f"layers_Fusion.{group}.residual_group"
            for side in ("_A", "_B"):
                yield from swin_names(f"{stem}{side}.blocks.{i}")
                yield from swin_names(f"{stem}.blocks.{i}", "cross", side)


def rebuilt(name, shape):
    """The weights that the stored outputs were made with: noise seeded by each tensor's name."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode())))
    if len(shape) == 1:
        return 1 + 0.1 * noise if "norm" in name and name.endswith("weight") else 0.05 * noise
    if name.endswith("relative_position_bias_table"):
        return 0.5 * noise
    return noise / noise[0].numel() ** 0.5


def test_swinfusion_from_an_official_checkpoint(shared, tmp_path):
    state = {name: rebuilt(name, shape) for name, shape in swinfusion_names()}
    known = state["layers_Ex_A.0.residual_group.blocks.0.attn.qkv.weight"][0, :3].tolist()
    assert known == pytest.approx([0.1229684, -0.0382177, -0.2697335], abs=1e-7)
    assert sum(tensor.numel() for tensor in state.values()) == 973_681
    torch.save(state, tmp_path / "swinfusion.pth")
    network = load_network(tmp_path / "swinfusion.pth").double()
    golden = load_file(shared / "golden" / "tita" / "swinfusion_sf.safetensors")

    outputs = {}
    for name, part in (("group", network.interaction.blocks[3]), ("merged", network.adaptation)):
        part.register_forward_hook(lambda module, inputs, output, name=name: outputs.update({name: output}))
    fused = network(golden["A"].double(), golden["B"].double())
    for name, stream in zip("xy", outputs["group"], strict=True):
        torch.testing.assert_close(stream.flatten(1, 2), golden[f"fusion0_{name}"].double(), atol=2e-5, rtol=0)
    merged = golden["merge_conv_after_lrelu_inplace"].double()
    torch.testing.assert_close(outputs["merged"], merged, atol=2e-5, rtol=0)
    torch.testing.assert_close(fused, golden["out"].double(), atol=2e-5, rtol=0)
