"""Training by Lightning is the plain loop that the papers describe."""

from functools import partial

import pytest
import torch
from lightning import Callback
from PIL import Image
from torch.nn.utils import parameters_to_vector
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR

from fusion_lab.callbacks import MeasureAgain
from fusion_lab.data import MultiTaskDataModule
from fusion_lab.data.mixing import Proportional
from fusion_lab.errors import FusionLabError
from fusion_lab.inference.tiling import fuse_luminance
from fusion_lab.losses.filters import gaussian_window
from fusion_lab.metrics import Entropy, SpatialFrequency
from fusion_lab.modules import TITAModule
from fusion_lab.modules.schedules import InTurn
from fusion_lab.modules.tita import tita_objectives
from fusion_lab.networks import TITA, Average
from fusion_lab.weighting import FAMO, Equal
from tests.tiny import NETWORK, TASKS, Names, data, make_pairs, module, pairs, trainer

STEPS = 5
LR = 1e-3


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=3, mff=2, mef=3)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("few"), ivf=2, mff=1, mef=1)


def adam(parameters):
    return torch.optim.Adam(parameters, lr=LR)


def batches(root, count):
    """The batches of the first epochs, in double precision."""
    source, found = data(root), []
    loader = source.train_dataloader()
    for epoch in range(count):
        loader.batch_sampler.set_epoch(epoch)
        found += [
            {t: {k: v.double() if torch.is_tensor(v) else v for k, v in s.items()} for t, s in batch.items()}
            for batch in loader
        ]
    return found[:count]


def plain_famo(network, batches, steps, clip=None, lr=0.025, decay=1e-3):
    """FAMO with the code of its release: logits in an Adam of their own, gradients by autograd."""
    objectives = tita_objectives()

    def losses(batch):
        fused = {task: network(sample["source_a"], sample["source_b"]) for task, sample in batch.items()}
        return torch.stack(
            [sum(term.weight * term(fused[t], batch[t]) for term in objectives[t].values()) for t in TASKS]
        )

    logits = torch.zeros(len(TASKS), dtype=torch.float64, requires_grad=True)
    logit_optimizer = torch.optim.Adam([logits], lr=lr, weight_decay=decay)
    optimizer = adam(network.parameters())
    for batch in batches[:steps]:
        before = losses(batch)
        weights, shifted = logits.softmax(0).detach(), before + 1e-8
        constant = (weights / shifted).sum().detach()
        optimizer.zero_grad()
        (weights * shifted.log() / constant).sum().backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
        optimizer.step()
        with torch.no_grad():
            fall = (before + 1e-8).log() - (losses(batch) + 1e-8).log()
        logit_optimizer.zero_grad()
        logits.grad = torch.autograd.grad(logits.softmax(0), logits, grad_outputs=fall)[0]
        logit_optimizer.step()
    return logits.detach()


@pytest.mark.parametrize("clip", [None, 0.05])
def test_famo_is_the_plain_loop(root, tmp_path, clip):
    torch.manual_seed(0)
    trained = module(FAMO(), optimizer=adam)
    by_hand = module()
    by_hand.load_state_dict(trained.state_dict())
    network = by_hand.network.double().train()
    logits = plain_famo(network, batches(root, STEPS), STEPS, clip)

    fit = trainer(tmp_path, max_steps=STEPS, precision="64-true", gradient_clip_val=clip, callbacks=[MeasureAgain()])
    fit.fit(trained, data(root))
    assert logits.abs().min() > 1e-3, "the logits should have moved"
    torch.testing.assert_close(trained.weighting.logits, logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(trained.network.state_dict(), network.state_dict(), rtol=0, atol=1e-6)


class TwoOptimizers(TITAModule):
    """The network in the hands of two optimizers, which Lightning leaves to the module to step."""

    def __init__(self, **arguments):
        super().__init__(**arguments)
        self.automatic_optimization = False

    def configure_optimizers(self):
        head = list(self.network.head.parameters())
        others = [p for p in self.network.parameters() if all(p is not q for q in head)]
        return adam(others), adam(head)

    def training_step(self, batch, batch_idx):
        outputs = super().training_step(batch, batch_idx)
        for optimizer in self.optimizers():
            optimizer.zero_grad()
        self.manual_backward(outputs["loss"])
        for optimizer in self.optimizers():
            optimizer.step()
        return outputs


def test_famo_works_with_several_optimizers(root, tmp_path):
    """Adam moves each parameter by itself, so that two of them do what one does."""
    torch.manual_seed(0)
    one = module(FAMO(), optimizer=adam)
    two = TwoOptimizers(network=TITA(**NETWORK, drop_path=0.0), weighting=FAMO())
    two.load_state_dict(one.state_dict(), strict=False)
    for number, trained in enumerate((one, two)):
        steps = STEPS * (number + 1)  # Lightning counts the step of each optimizer.
        fit = trainer(tmp_path, max_steps=steps, precision="64-true", callbacks=[MeasureAgain()])
        fit.fit(trained, data(root))
    assert one.weighting.logits.abs().min() > 1e-3
    torch.testing.assert_close(two.weighting.logits, one.weighting.logits, rtol=0, atol=1e-12)


def test_famo_measures_in_the_precision_of_training(root, tmp_path):
    """At a step of zero and without noise, both passes agree bit for bit, so that only decay could move the logits."""
    torch.manual_seed(0)
    trained = module(FAMO(), optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    trainer(tmp_path, max_steps=3, precision="bf16-mixed", callbacks=[MeasureAgain()]).fit(trained, data(root))
    assert torch.equal(trained.weighting.logits, torch.zeros(3))


def test_next_loss_stands_for_the_second_pass(root, tmp_path):
    """One step late: what a step changed is told with the losses of the next batch."""
    torch.manual_seed(0)
    spy = Spy()
    spy.reuse_next_loss = True
    trained = module(spy, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    fit = trainer(tmp_path, max_epochs=2, accumulate_grad_batches=2, precision="64-true", callbacks=[MeasureAgain()])
    fit.fit(trained, data(root))
    with torch.no_grad():
        losses = [trained.task_losses(batch) for batch in batches(root, 6)]
    windows = [losses[0:2], losses[2:3], losses[3:5], losses[5:6]]
    means = [{task: torch.stack([one[task] for one in window]).mean() for task in TASKS} for window in windows]
    assert len(spy.told) == 3
    for index, (before, after) in enumerate(spy.told):
        torch.testing.assert_close(before, means[index])
        torch.testing.assert_close(after, means[index + 1])


def test_next_loss_runs_the_network_once_a_batch(root, tmp_path):
    calls = {}
    for reuse in (False, True):
        trained, seen = module(FAMO(reuse_next_loss=reuse)), []
        trained.network.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        trainer(tmp_path, max_steps=2, callbacks=[MeasureAgain()]).fit(trained, data(root))
        calls[reuse] = len(seen)
    assert calls == {False: 2 * 2 * len(TASKS), True: 2 * len(TASKS)}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_famo_goes_with_batches_that_lack_a_task(tmp_path, accumulate):
    root = make_pairs(tmp_path / "pairs", ivf=9, mff=2, mef=1)
    trained = module(FAMO(), optimizer=adam)
    names = Names()
    fit = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=accumulate, callbacks=[MeasureAgain(), names])
    fit.fit(trained, data(root, mixing=Proportional()))
    assert min(len(batch) for batch in names.seen) < len(TASKS)
    assert trained.weighting.logits.isfinite().all()
    assert trained.weighting.logits.abs().max() > 0


class Spy(Equal):
    """Equal weights that remember what they were told."""

    measures_again = True

    def __init__(self):
        super().__init__()
        self.told = []

    def update(self, before, after):
        self.told.append((before, after))
        return {}


def test_weighting_learns_once_a_step_from_all_batches_of_it(root, tmp_path):
    torch.manual_seed(0)
    spy = Spy()
    trained = module(spy, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    fit = trainer(tmp_path, max_epochs=2, accumulate_grad_batches=2, precision="64-true", callbacks=[MeasureAgain()])
    fit.fit(trained, data(root))
    # Epochs of 3 batches: a step after the second, and Lightning's after the last.
    assert fit.global_step == len(spy.told) == 4
    with torch.no_grad():
        losses = [trained.task_losses(batch) for batch in batches(root, 6)]
    windows = [losses[0:2], losses[2:3], losses[3:5], losses[5:6]]
    for window, (before, after) in zip(windows, spy.told, strict=True):
        for task in TASKS:
            mean = torch.stack([one[task] for one in window]).mean()
            torch.testing.assert_close(before[task], mean)
            torch.testing.assert_close(after[task], mean)


def test_next_fit_does_not_remember_the_batches_of_a_broken_one(root, tmp_path):
    class Break(Callback):
        def on_train_batch_end(self, *_):
            raise FusionLabError("Stop.")

    spy, measure = Spy(), MeasureAgain()
    trained = module(spy, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    broken = trainer(tmp_path, max_steps=1, accumulate_grad_batches=2, callbacks=[measure, Break()])
    with pytest.raises(FusionLabError, match="Stop"):
        broken.fit(trained, data(root, seed=1))
    trainer(tmp_path, max_steps=1, precision="64-true", callbacks=[measure]).fit(trained, data(root))
    [(before, _)] = spy.told
    with torch.no_grad():
        torch.testing.assert_close(before, trained.task_losses(batches(root, 1)[0]))


def test_losses_without_gradients_draw_the_same_noise_and_are_the_same(root):
    trained = module(FAMO(), drop_path=0.5).train()
    batch = next(iter(data(root).train_dataloader()))
    losses = []
    for enabled in (True, False):
        torch.manual_seed(1)
        with torch.set_grad_enabled(enabled):
            losses.append({task: loss.detach() for task, loss in trained.task_losses(batch).items()})
    torch.testing.assert_close(*losses, rtol=1e-5, atol=1e-6)


def test_weighting_that_nothing_measures_for_is_refused(root, tmp_path):
    with pytest.raises(FusionLabError, match=r"FAMO .*add fusion_lab.callbacks.MeasureAgain") as error:
        trainer(tmp_path, max_steps=1).fit(module(FAMO()), data(root))
    assert "\n" not in str(error.value)


def test_task_without_objective_is_refused(root, tmp_path):
    objectives = {task: terms for task, terms in tita_objectives().items() if task != "mff"}
    with pytest.raises(FusionLabError, match=r"without an objective \(mff\).*ivf, mef"):
        trainer(tmp_path, max_steps=1).fit(module(objectives=objectives), data(root))


def scored(few, tmp_path):
    torch.manual_seed(0)
    scored = module(metrics=[Entropy(), SpatialFrequency()])
    splits = {"val": pairs(few), "test": pairs(few), "predict": pairs(few)}
    return scored, MultiTaskDataModule(**splits), trainer(tmp_path)


@pytest.mark.parametrize(("run", "stage"), [("validate", "val"), ("test", "test")])
def test_losses_and_scores_are_means_over_the_pairs(few, tmp_path, run, stage):
    trained, source, runner = scored(few, tmp_path)
    [logged] = getattr(runner, run)(trained, source, verbose=False)
    expected = {f"{stage}/{task}/{name}" for task in TASKS for name in ("loss", "EN", "SF")} | {f"{stage}/loss"}
    assert set(logged) == expected
    # The sum over the tasks, as in training, however many pairs each has.
    in_all = sum(logged[f"{stage}/{task}/loss"] for task in TASKS)
    assert logged[f"{stage}/loss"] == pytest.approx(in_all, rel=1e-6)
    # Twice the same: nothing is left over from the first time.
    assert getattr(runner, run)(trained, source, verbose=False) == [logged]
    losses = []
    for sample in (pairs(few)["ivf"][0][number] for number in range(2)):
        batch = {key: sample[key][None] for key in ("source_a", "source_b")}
        fused = fuse_luminance(trained.network, batch["source_a"], batch["source_b"])
        losses.append(sum(trained.objectives["ivf"](fused, batch).values()).item())
    assert logged[f"{stage}/ivf/loss"] == pytest.approx(sum(losses) / 2, rel=1e-6)


def test_validation_inside_training_is_logged(root, few, tmp_path):
    fit = trainer(tmp_path, max_steps=1, val_check_interval=1)
    fit.fit(module(metrics=[Entropy()]), data(root, few))
    assert {"val/ivf/loss", "val/mef/EN", "val/loss", "train/loss"} <= set(fit.callback_metrics)


@pytest.mark.parametrize("weighting", [Equal(), FAMO()], ids=["Equal", "FAMO"])
def test_weights_of_the_losses_are_logged(root, tmp_path, weighting):
    fit = trainer(tmp_path, max_steps=1, limit_val_batches=0, callbacks=[MeasureAgain()])
    fit.fit(module(weighting), data(root))
    logged = {task: fit.callback_metrics[f"train/{task}/weight"].item() for task in TASKS}
    inverse = {task: 1 / fit.callback_metrics[f"train/{task}/loss"].item() for task in TASKS}
    # FAMO starts with the inverse of the losses, the sum stays with one.
    expected = inverse if isinstance(weighting, FAMO) else dict.fromkeys(TASKS, 1.0)
    total = sum(expected.values()) if isinstance(weighting, FAMO) else 1.0
    assert logged == pytest.approx({task: weight / total for task, weight in expected.items()}, rel=1e-5)


def test_prediction_lies_between_0_and_1(few, tmp_path):
    trained, source, runner = scored(few, tmp_path)
    with torch.no_grad():
        trained.network.head[-1].bias.fill_(0.9)
        trained.network.head[-1].weight.mul_(30)
    predictions = runner.predict(trained, source)
    assert [list(fused) for fused in predictions] == [["ivf"], ["mff"], ["mef"], ["ivf"]]
    values = torch.cat([fused.flatten() for one in predictions for fused in one.values()])
    assert values.min() == 0
    assert values.max() == 1
    assert [one.shape[-2:] for fused in predictions for one in fused.values()] == [
        (18, 20),
        (18, 20),
        (18, 20),
        (18, 21),
    ]


def test_tasks_without_an_objective_are_scored_but_not_trained_on(tmp_path):
    root = make_pairs(tmp_path, ivf=1, mif=1)
    test_data = MultiTaskDataModule(test=pairs(root, ("ivf", "mif")))
    [logged] = trainer(tmp_path).test(TITAModule(Average(), metrics=[Entropy()]), test_data, verbose=False)
    assert logged["test/mif/EN"] > 0
    assert "test/mif/loss" not in logged
    assert logged["test/loss"] == pytest.approx(logged["test/ivf/loss"])


def test_a_flat_first_pair_does_not_mix_up_the_metrics(tmp_path):
    root = make_pairs(tmp_path, ivf=2)
    for role in "ab":
        Image.new("L", (20, 18)).save(root / "ivf" / role / "a_flat.png")
    test_data = MultiTaskDataModule(test=pairs(root, ("ivf",)))
    metrics = [Entropy(), SpatialFrequency()]
    [logged] = trainer(tmp_path).test(TITAModule(Average(), metrics=metrics), test_data, verbose=False)
    assert logged["test/ivf/SF"] > 2 * logged["test/ivf/EN"]


def test_metrics_of_one_name_are_refused():
    with pytest.raises(FusionLabError, match="several metrics called SF"):
        TITAModule(Average(), metrics=[SpatialFrequency("mean"), SpatialFrequency("n")])


def test_losses_of_half_precision_outputs_are_those_of_their_values():
    sample = {"source_a": torch.rand(1, 1, 32, 32), "source_b": torch.rand(1, 1, 32, 32)}
    trained = TITAModule(Average())
    plain = trained.task_losses({"mef": sample})["mef"]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = trained.task_losses({"mef": sample})["mef"]
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(plain.item(), rel=1e-5)


def test_training_goes_on_after_a_validation_in_the_same_process(root, few, tmp_path):
    gaussian_window.cache_clear()
    tiny = module()
    trainer(tmp_path).validate(tiny, data(root, few), verbose=False)
    fit = trainer(tmp_path, max_steps=1, limit_val_batches=0)
    fit.fit(tiny, data(root, few))
    assert fit.global_step == 1


def test_a_checkpoint_is_evaluated_with_any_weighting(root, few, tmp_path):
    fit = trainer(tmp_path, max_steps=1, limit_val_batches=0, callbacks=[MeasureAgain()])
    fit.fit(module(FAMO()), data(root, few))
    fit.save_checkpoint(tmp_path / "famo.ckpt")
    [logged] = trainer(tmp_path).validate(
        module(Equal()), data(root, few), ckpt_path=tmp_path / "famo.ckpt", verbose=False, weights_only=True
    )
    assert logged["val/loss"] > 0


def test_module_loads_without_a_trainer(root, few, tmp_path):
    fit = trainer(tmp_path, max_steps=1, limit_val_batches=0)
    trained = module()
    fit.fit(trained, data(root, few))
    fit.save_checkpoint(tmp_path / "tiny.ckpt")
    network = TITA(**NETWORK, drop_path=0.0)
    loaded = TITAModule.load_from_checkpoint(tmp_path / "tiny.ckpt", network=network, weights_only=True)
    for name, tensor in trained.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)


def test_a_wrong_schedule_is_told(root, few, tmp_path):
    tiny = module(scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=1.0, total_steps=-1))
    with pytest.raises(FusionLabError, match="wrong argument"):
        trainer(tmp_path, max_steps=1).fit(tiny, data(root, few))


def test_a_schedule_with_a_part_of_no_steps_is_told(root, few, tmp_path):
    tiny = module(scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=1.0, total_steps=20, pct_start=0.05))
    with pytest.raises(FusionLabError, match="part of no steps"):
        trainer(tmp_path, max_steps=20).fit(tiny, data(root, few))


def test_a_cosine_without_a_length_is_refused(root, tmp_path):
    def cosine(optimizer):
        return InTurn(optimizer, [partial(LinearLR, total_iters=2), partial(CosineAnnealingLR, T_max=-1)], [2])

    with pytest.raises(FusionLabError, match="`T_max` of a schedule should be above 0"):
        trainer(tmp_path, max_steps=1).fit(module(scheduler=cosine), data(root))


@pytest.mark.parametrize(("algorithm", "order"), [("norm", 2), ("value", torch.inf)])
def test_gradients_are_clipped_for_a_fused_optimizer_too(root, tmp_path, algorithm, order):
    trained = module(optimizer=partial(torch.optim.SGD, lr=1.0, fused=True))
    before = parameters_to_vector(trained.network.parameters()).detach().clone()
    clipping = {"gradient_clip_val": 1e-4, "gradient_clip_algorithm": algorithm}
    trainer(tmp_path, max_steps=1, precision="bf16-mixed", **clipping).fit(trained, data(root))
    step = parameters_to_vector(trained.network.parameters()).detach() - before
    assert step.norm(order).item() == pytest.approx(1e-4, rel=1e-2)
