"""TITA, its losses and its training step against stored results of the official code."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from fusion_lab.losses import Intensity, Objective, Structure, Texture
from fusion_lab.losses.structure import ssim
from fusion_lab.networks import TITA
from fusion_lab.networks.checkpoints import from_official_tita
from fusion_lab.networks.layers.padding import pad_to_multiple, pad_to_next_multiple
from fusion_lab.networks.layers.windows import shift_mask
from fusion_lab.weighting import FAMO

pytestmark = pytest.mark.shared

CASES = ("b2_64x64", "b1_70x93", "b1_128x128", "b1_136x200", "b1_8x8", "b1_16x24")
TASKS = ("vif", "mff", "mef")
TRACE_STEPS = 5


@pytest.fixture(scope="module")
def golden(shared):
    return shared / "golden" / "tita"


@pytest.fixture(scope="module")
def weights(golden):
    return load_file(golden / "weights.safetensors")


def official_network(weights):
    network = TITA()
    network.load_state_dict(from_official_tita(weights))
    return network.eval()


@pytest.fixture(scope="module")
def network(weights):
    return official_network(weights)


def load_case(golden, case):
    suffix = "_full" if case == "b1_16x24" else ""
    return load_file(golden / f"case_{case}{suffix}.safetensors")


def record(network, source_a, source_b):
    """Fuse and keep what every part was given and gave, call by call, under the name of the part."""
    calls = {}

    def keep(name):
        def hook(module, inputs, output):
            calls.setdefault(name, []).append((inputs, output))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in network.named_modules()]
    with torch.no_grad():
        network(source_a, source_b)
    for handle in handles:
        handle.remove()
    return calls


def to_map(x):
    return x.permute(0, 3, 1, 2)


def to_tokens(x):
    return x.flatten(1, 2)


def stages_of(network, calls, source_a, source_b):
    """The tensors of `record` under the names of the stored ones."""

    def output(name, call=0):
        return calls[name][call][1]

    padded = output("head.4")
    height, width = source_a.shape[-2:]
    fus_x, fus_y = map(to_map, output("interaction"))
    stages = {
        "in_A_padded": calls["shallow"][0][0][0],
        "in_B_padded": calls["shallow"][1][0][0],
        "ex_A": to_map(output("extraction_a")),
        "ex_B": to_map(output("extraction_b")),
        "fus_x": fus_x,
        "fus_y": fus_y,
        "oaf_weights": network.adaptation.operation_weights(fus_x, fus_y).flatten(1),
        "oaf_out": output("adaptation"),
        "re_tokens_after_norm": to_tokens(output("reconstruction")),
        "patch_embed.call0_exA": to_tokens(output("embed_norm", 0)),
        "patch_embed.call4_re": to_tokens(output("embed_norm", 4)),
        "out_padded": padded,
        "out": padded[..., :height, :width],
    }
    for theirs, ours in (("A", "adaptation.source_a"), ("B", "adaptation.source_b")):
        for name, branch in zip(("hpf", "add", "mul"), output(ours), strict=True):
            stages[f"oaf_{theirs}_{name}"] = branch
        stages[f"oaf_{theirs}_hpf_logits"] = output(f"{ours}.branches.HighPass.generator")
    compressed = output("adaptation.source_a.compress")
    stages["oaf_A_compressed"] = compressed
    stages["oaf_A_hpf_kernel"] = network.adaptation.source_a.branches["HighPass"].kernels(compressed)
    for theirs, ours in (("Ex_A", "extraction_a"), ("Ex_B", "extraction_b"), ("Re", "reconstruction")):
        for i in range(4):
            stages[f"layers_{theirs}.0.blocks.{i}"] = to_tokens(output(f"{ours}.blocks.{i}"))
    for i in range(8):
        for stream, x in enumerate(output(f"interaction.blocks.{i}")):
            stages[f"layers_Fusion.{i // 4}.blocks.{i % 4}.{stream}"] = to_tokens(x)
    return stages


def head_mean_shares(attention, query, keys):
    """What each pixel gives to its two keys, averaged over heads, ``(B, H, W, 2)``."""
    plain = copy.deepcopy(attention)
    plain.projection = nn.Identity()
    nn.init.eye_(plain.value.weight)
    nn.init.zeros_(plain.value.bias)
    of_cross = plain(query, keys[1] - keys[0], (torch.zeros_like(query), torch.ones_like(query))).mean(dim=-1)
    return torch.stack([1 - of_cross, of_cross], dim=-1)


def pixel_attention_of(network, calls):
    """The inside of the second inter-domain block, which is shifted, under the names of the stored tensors."""
    block = "interaction.blocks.1"
    discriminator = calls[f"{block}.pixel_attention.discriminator"]
    inside = {
        "attn_A_windows": calls[f"{block}.attention.0.projection"][0][1][0],
        "attn_B_windows": calls[f"{block}.attention.1.projection"][0][1][0],
        "judger_input01": to_tokens(discriminator[0][0][0]),
        "relation_score01": to_tokens(discriminator[0][1].softmax(dim=-1)),
        "relation_score10": to_tokens(discriminator[1][1].softmax(dim=-1)),
    }
    pixel = network.get_submodule(f"{block}.pixel_attention")
    for row, (theirs, ours) in enumerate((("cross_attn_0_to_1", "attention_a"), ("cross_attn_1_to_0", "attention_b"))):
        name = f"{block}.pixel_attention.{ours}"
        (query, difference, (_, other)), out = calls[name][0]
        score = discriminator[row][1].softmax(dim=-1)
        keys, _ = pixel.keys_and_values(query, other, score, pixel.noise1[row], pixel.noise2[row])
        torch.testing.assert_close(difference, keys[1] - keys[0], rtol=0, atol=1e-6)
        inside[f"{theirs}.q"] = to_tokens(query)
        inside[f"{theirs}.k"] = torch.cat([to_tokens(key) for key in keys])
        inside[f"{theirs}.out"] = to_tokens(out)
        shares = head_mean_shares(network.get_submodule(name), query, keys)
        inside[f"{theirs}.attn_head_mean"] = to_tokens(shares)[0, :, None]
    return {f"ipa01.{name}": tensor for name, tensor in inside.items()}


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_every_stored_stage_of_every_case(golden, network, case):
    stored = load_case(golden, case)
    source_a, source_b = stored.pop("A"), stored.pop("B")
    calls = record(network, source_a, source_b)
    stages = stages_of(network, calls, source_a, source_b)
    ours = {
        **stages,
        **{f"{name}_s4": x[..., ::4, ::4] for name, x in stages.items() if x.ndim == 4},
        "in_A_padded_reflect": pad_to_multiple(source_a, 8),
        "in_A_padded_test": pad_to_next_multiple(source_a, 8),
    }
    if case == "b1_16x24":
        ours.update(pixel_attention_of(network, calls))
        ours["mask_shifted_16x24"] = shift_mask(16, 24, 8, 4, like=source_a)
        # The largest value of the mask of unshifted windows; they take none here.
        assert stored.pop("mask_unshifted_16x24_is_zero").item() == 0
    if "out_testpad" in stored:
        height, width = source_a.shape[-2:]
        padded = (pad_to_next_multiple(source, 8) for source in (source_a, source_b))
        ours["out_testpad"] = network(*padded)[..., :height, :width]
    for name, expected in stored.items():
        # The products of MUL reach 13: there the stored float32 values are themselves 2.2e-5 from those in float64.
        tolerance = 4e-5 if name.endswith(("oaf_A_mul", "oaf_B_mul", "oaf_A_mul_s4", "oaf_B_mul_s4")) else 2e-5
        difference = (ours[name] - expected).abs().max().item()
        assert difference <= tolerance, name

    statistics = json.loads((golden / "stage_stats.json").read_text())
    for name, expected in statistics.items():
        if name.startswith(f"{case}/"):
            x = stages[name.removeprefix(f"{case}/")].double()
            assert list(x.shape) == expected["shape"], name
            # Both of means that nearly cancel and of large sums, rounding leaves parts of the mean magnitude.
            scale = expected["abssum"] / x.numel()
            assert x.mean().item() == pytest.approx(expected["mean"], rel=0, abs=1e-6 * scale), name
            assert x.std().item() == pytest.approx(expected["std"], rel=1e-5), name
            assert x.abs().sum().item() == pytest.approx(expected["abssum"], rel=1e-5), name
            assert x.min().item() == pytest.approx(expected["min"], abs=2e-5), name
            assert x.max().item() == pytest.approx(expected["max"], abs=2e-5), name


@torch.no_grad()
def test_output_in_double_precision(golden, weights):
    case = load_case(golden, "b2_64x64")
    fused = official_network(weights).double()(case["A"].double(), case["B"].double())
    expected = load_file(golden / "case_b2_64x64_fp64.safetensors")["out_f64"]
    torch.testing.assert_close(fused, expected, atol=1e-9, rtol=0)


def objective(task):
    return Objective(
        {
            "text": Texture(20),
            "int": Intensity("maximum" if task == "vif" else "mean", 20),
            "ssim": Structure("equal" if task == "mef" else "gradient", 10),
        }
    )


def total(terms):
    return torch.stack(list(terms.values())).sum()


@pytest.mark.parametrize("size", ["64", "odd"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_and_their_gradient(golden, size, task, dtype):
    stored = load_file(golden / "losses.safetensors")
    expected = json.loads((golden / "losses.json").read_text())[f"{size}/{task}"]
    source_a, source_b, fused = (stored[f"{size}/{name}"].to(dtype) for name in "ABF")
    fused.requires_grad_()
    terms = objective(task)(fused, {"source_a": source_a, "source_b": source_b, "name": []})
    loss = total(terms)
    loss.backward()
    suffix, tolerance = ("", 1e-4) if dtype == torch.float32 else ("_f64", 1e-9)
    for name, value in {**terms, "total": loss}.items():
        assert value.item() == pytest.approx(expected[name + suffix], rel=0, abs=tolerance), name
    # The gradient was stored in float32.
    gradient = stored[f"{size}/{task}/dtotal_dF"]
    torch.testing.assert_close(fused.grad.float(), gradient, atol=1e-3 * gradient.abs().max().item(), rtol=0)


@pytest.mark.parametrize("size", ["64", "odd"])
def test_structural_similarity(golden, size):
    stored = load_file(golden / "losses.safetensors")
    for name, expected in json.loads((golden / "losses.json").read_text())[f"{size}/ssim_raw"].items():
        _, first, second = name.split("_")
        value = ssim(stored[f"{size}/{first}"], stored[f"{size}/{second}"])
        assert value.item() == pytest.approx(expected, abs=1e-5)


def test_famo_over_twenty_steps(golden):
    trace = json.loads((golden / "famo_trace.json").read_text())
    famo = FAMO(lr=trace["w_lr"], weight_decay=trace["gamma"])
    famo.setup(list(TASKS))
    for step in trace["trace"]:
        before, after = (
            dict(zip(TASKS, torch.tensor(step[f"losses_{when}"], requires_grad=True).unbind(), strict=True))
            for when in ("before", "after")
        )
        assert famo.logits.tolist() == pytest.approx(step["logits_used"], rel=0, abs=1e-6)
        assert famo.task_weights().tolist() == pytest.approx(step["softmax_weights_used"], rel=0, abs=1e-6)
        loss = famo(before)
        shares = torch.autograd.grad(loss, list(before.values()))
        assert loss.item() == pytest.approx(step["weighted_loss"], rel=1e-6)
        assert [share.item() for share in shares] == pytest.approx(step["dloss_dlosses"], rel=0, abs=1e-6)
        famo.update(before, after)
        assert famo.logits.tolist() == pytest.approx(step["logits_after"], rel=0, abs=1e-6)


def test_famo_along_the_stored_training(golden):
    """All five steps, the losses taken from the trace rather than from a network."""
    famo = FAMO()
    famo.setup(list(TASKS))
    famo.double()
    for step in json.loads((golden / "train_trace_f64.json").read_text()):
        before, after = (
            dict(zip(TASKS, torch.tensor(values, dtype=torch.float64), strict=True))
            for values in (step["losses"], step["new_losses"])
        )
        assert famo(before).item() == pytest.approx(step["weighted_loss"], rel=1e-12)
        famo.update(before, after)
        assert famo.logits.tolist() == pytest.approx(step["logits_after"], rel=0, abs=1e-12)


@pytest.fixture(scope="module")
def training(golden, weights):
    """The official training step in double precision: the numbers of `TRACE_STEPS` steps, and the first gradients.

    Pair by pair, so that 2 GiB of memory are enough: the gradient of FAMO's loss is the sum of the task gradients
    times its derivatives by the task losses, and that of a task is the sum over its pairs.
    """
    network = official_network(weights).double()
    parameters = list(network.parameters())
    initial = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.Adam(parameters, lr=2e-5)
    famo = FAMO()
    famo.setup(list(TASKS))
    famo.double()
    stored = load_file(golden / "train_batch.safetensors")
    batch = {
        task: {
            "source_a": stored[f"{i}/A"].double(),
            "source_b": stored[f"{i}/B"].double(),
            "name": ["", ""],
        }
        for i, task in enumerate(TASKS)
    }

    def task_loss(task):
        """The loss of a task, and its gradient of every parameter."""
        sample = batch[task]
        images = torch.zeros_like(sample["source_a"])
        network.zero_grad()
        for i in range(len(images)):
            # All terms are means over pixels: where this pair's gradient is wanted, the other image does not matter.
            one = network(sample["source_a"][i : i + 1], sample["source_b"][i : i + 1])
            total(objective(task)(torch.cat([images[:i], one, images[i + 1 :]]), sample)).backward()
            images[i] = one[0].detach()
        loss = total(objective(task)(images, sample))
        return loss.requires_grad_(), [p.grad.clone() for p in parameters]

    @torch.no_grad()
    def all_losses():
        return {
            task: total(objective(task)(network(sample["source_a"], sample["source_b"]), sample))
            for task, sample in batch.items()
        }

    def finish(step, after):
        before = dict(zip(TASKS, torch.tensor(step["losses"], dtype=torch.float64), strict=True))
        famo.update(before, after)
        step["new_losses"] = [loss.item() for loss in after.values()]
        step["logits_after"] = famo.logits.tolist()

    steps, first = [], {}
    for number in range(TRACE_STEPS):
        # In evaluation mode, as the trace was made, the losses after a step are those before the next.
        results = {task: task_loss(task) for task in TASKS}
        losses = {task: loss for task, (loss, _) in results.items()}
        if steps:
            finish(steps[-1], losses)
        weighted = famo(losses)
        shares = torch.autograd.grad(weighted, list(losses.values()))
        for i, p in enumerate(parameters):
            p.grad = sum(share * results[task][1][i] for share, task in zip(shares, TASKS, strict=True))
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        if number == 0:
            names = [name for name, _ in network.named_parameters()]
            first = {task: dict(zip(names, gradients, strict=True)) for task, (_, gradients) in results.items()}
        optimizer.step()
        change = sum((p - start).abs().sum() for p, start in zip(parameters, initial, strict=True))
        steps.append(
            {
                "losses": [loss.item() for loss in losses.values()],
                "coef": [share.item() for share in shares],
                "weighted_loss": weighted.item(),
                "grad_norm_at_step": norm.item(),
                "sum_abs_param_change": change.item(),
            }
        )
    finish(steps[-1], all_losses())
    return steps, first


@pytest.mark.timeout(1200)
def test_training_steps(golden, training):
    trace = json.loads((golden / "train_trace_f64.json").read_text())
    for step, expected in zip(training[0], trace, strict=True):
        for name, value in step.items():
            assert value == pytest.approx(expected[name], rel=1e-6, abs=1e-9), (expected["it"], name)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("task", TASKS)
def test_gradient_of_every_parameter(golden, weights, training, task):
    """The stored gradients are float32, ours float64: rounding stays below 1e-4 of each norm."""
    ours = training[1][task]
    stored = json.loads((golden / "grads.json").read_text())[task]
    compared = set()
    for official, tensor in weights.items():
        names = from_official_tita({official: tensor})
        if not names:
            assert official in stored["__none__"]
            continue
        # Stacked official matrices are several of ours.
        gradients = torch.cat([ours[name].flatten() for name in names])
        compared |= set(names)
        expected_sum, expected_norm = stored[official]
        norm = gradients.norm().item()
        assert norm == pytest.approx(expected_norm, rel=1e-4, abs=1e-5), official
        rounding = 1e-4 * norm * gradients.numel() ** 0.5 + 1e-4
        assert gradients.sum().item() == pytest.approx(expected_sum, rel=0, abs=rounding), official
    assert compared == set(ours)
    total_norm = torch.nn.utils.get_total_norm(list(ours.values())).item()
    assert total_norm == pytest.approx(stored["__total_norm__"], rel=1e-4)
