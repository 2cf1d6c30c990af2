"""Every scalarizer and aggregator of TorchJD trains, resumes, and does what it says."""

import importlib
import inspect
import pkgutil
import re

import pytest
import torch
import torchjd.aggregation
import torchjd.scalarization
from torchjd.aggregation import PCGrad
from torchjd.scalarization import DWA, UW

from fusion_lab.callbacks import Checkpoints, MeasureAgain, RepeatableNoise
from fusion_lab.errors import FusionLabError
from fusion_lab.weighting import Aggregation, Equal, Scalarization, adapted
from tests.tiny import TASKS, data, make_pairs, module, trainer

NEEDED = {
    "CAGrad": {"c": 0.4},
    "COSMOS": {"lambda_": 1.0, "weights": torch.ones(3)},
    "Constant": {"weights": torch.tensor([1.0, 2.0, 3.0])},
    "FairGrad": {"alpha": 1.0},
    "IMTLL": {"shape": 3},
    "Krum": {"n_byzantine": 0},
    "NashMTL": {"n_tasks": 3},
    "PBI": {"theta": 1.0, "weights": torch.ones(3)},
    "STCH": {"mu": 1.0},
    "TrimmedMean": {"trim_number": 1},
    "UW": {"shape": 3},
}


def all_of(package, base):
    classes = [getattr(package, name) for name in package.__all__]
    return [
        cls
        for cls in classes
        if inspect.isclass(cls)
        and issubclass(cls, base)
        and not inspect.isabstract(cls)
        # These wrap another object, and FAMO is our own.
        and cls.__name__ not in ("GramianWeightedAggregator", "WeightedAggregator", "FAMO")
    ]


# Not NashMTL, whose solver begins anew.
REMEMBERING = ("DWA", "UW", "IMTLL", "Random", "PCGrad", "GradDrop", "GradVac", "PCD", "ExcessMTL")
SCALARIZERS = all_of(torchjd.scalarization, torchjd.scalarization.Scalarizer)
AGGREGATORS = all_of(torchjd.aggregation, torchjd.aggregation.Aggregator)


def build(cls):
    arguments = {key: v.clone() if torch.is_tensor(v) else v for key, v in NEEDED.get(cls.__name__, {}).items()}
    return Scalarization(cls(**arguments)) if cls in SCALARIZERS else Aggregation(cls(**arguments))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_pairs(tmp_path_factory.mktemp("pairs"), ivf=2, mff=2, mef=2)


def fit(folder, root, weighting, steps, ckpt=None, **arguments):
    torch.manual_seed(1 if ckpt else 0)
    trained = module(weighting, optimizer=lambda parameters: torch.optim.Adam(parameters, lr=1e-3))
    callbacks = [RepeatableNoise(), MeasureAgain(), Checkpoints(folder, every_n_train_steps=1, save_top_k=-1)]
    run = trainer(folder, max_steps=steps, callbacks=callbacks, enable_checkpointing=True, **arguments)
    run.fit(trained, data(root), ckpt_path=ckpt, weights_only=True)
    return trained


def saved(folder, step):
    [found] = folder.glob(f"*step={step}.ckpt")
    return found


def flat(trained):
    return torch.cat([parameter.detach().flatten() for parameter in trained.network.parameters()])


@pytest.mark.filterwarnings("ignore:You are solving a parameterized problem")
@pytest.mark.parametrize(
    "cls", [*SCALARIZERS, *AGGREGATORS], ids=lambda cls: cls.__module__.split(".")[1] + cls.__name__
)
def test_every_method_trains_three_steps(root, tmp_path, cls):
    """And, if it learns or draws anything, resumes after two: the third begins an epoch, where DWA looks back."""
    whole = fit(tmp_path / "whole", root, build(cls), 3)
    torch.manual_seed(0)
    assert flat(whole).isfinite().all()
    assert not torch.equal(flat(whole), flat(module(Equal())))
    if cls.__name__ in REMEMBERING:
        resumed = fit(tmp_path / "resumed", root, build(cls), 3, ckpt=saved(tmp_path / "whole", 2))
        assert torch.equal(flat(resumed), flat(whole))


def test_what_a_method_keeps_to_itself_is_saved(root, tmp_path):
    """A long enough run, so that the history of DWA makes the weights unequal."""
    whole = fit(tmp_path / "whole", root, build(DWA), 7)
    assert not torch.equal(flat(whole), flat(fit(tmp_path / "equal", root, Equal(), 7)))
    state = torch.load(saved(tmp_path / "whole", 5), weights_only=True)["state_dict"]["weighting._extra_state"]
    assert len(state[""]["_previous_averages"]) == 2
    for step in range(1, 7):
        resumed = fit(tmp_path / f"from {step}", root, build(DWA), 7, ckpt=saved(tmp_path / "whole", step))
        assert torch.equal(flat(resumed), flat(whole)), step


def stateful():
    """Every class of the installed TorchJD that says it keeps something."""
    for package in (torchjd.aggregation, torchjd.scalarization):
        for module_info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            for cls in vars(importlib.import_module(module_info.name)).values():
                if inspect.isclass(cls) and cls.__module__ == module_info.name and hasattr(cls, "reset"):
                    yield cls


@pytest.mark.parametrize("cls", sorted(set(stateful()), key=lambda cls: cls.__name__), ids=lambda cls: cls.__name__)
def test_the_list_of_what_a_method_keeps_is_that_of_this_release(cls):
    """`reset` begins what a method keeps anew, so that it names it; the rest of the state is in buffers."""
    if cls.__name__ in ("FAMO", "NashMTL", "_NashMTLWeighting"):
        return
    named = set(re.findall(r"self\.(\w+) = ", inspect.getsource(cls.reset)))
    buffers = set(re.findall(r'register_buffer\("(\w+)"', inspect.getsource(cls)))
    assert named - buffers == set(adapted._STATE.get(cls.__name__, ()))


def test_learnt_uncertainties_are_learnt_by_the_networks_optimizer(root, tmp_path):
    trained = fit(tmp_path, root, build(UW), 3)
    log_variances = trained.weighting.method.log_var
    # Losses above 1 push them up, by a step of Adam each time.
    torch.testing.assert_close(log_variances, torch.full((3,), 3e-3), rtol=0.1, atol=0)


class Point(torch.nn.Module):
    """Two parameters that three losses pull in known directions."""

    def __init__(self):
        super().__init__()
        self.at = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        self.beside = torch.nn.Parameter(torch.tensor([2.0]))

    def losses(self):
        x, y = self.at
        return {"ivf": 3 * x + 5, "mff": 4 * y + 5, "mef": (self.beside * x).sum()}


def jacobian_of(point):
    return torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0], [2.0, 0.0, 1.0]])


@pytest.mark.parametrize("name", ["Sum", "MGDA", "UPGrad", "AlignedMTL", "IMTLG"])
def test_gradient_of_the_loss_is_the_aggregation_of_the_jacobian(name):
    point, weighting = Point(), Aggregation(getattr(torchjd.aggregation, name)())
    weighting.setup(list(TASKS))
    losses = point.losses()
    loss = weighting(losses)
    assert loss.item() == pytest.approx(sum(value.item() for value in losses.values()))
    loss.backward()
    expected = getattr(torchjd.aggregation, name)()(jacobian_of(point))
    torch.testing.assert_close(torch.cat([point.at.grad, point.beside.grad]), expected, rtol=1e-4, atol=1e-5)


def test_sum_of_gradients_trains_as_the_gradient_of_the_sum(root, tmp_path):
    whole = flat(fit(tmp_path, root, Equal(), 3, precision="64-true"))
    by_gradients = flat(fit(tmp_path, root, Aggregation(torchjd.aggregation.Sum()), 3, precision="64-true"))
    torch.testing.assert_close(by_gradients, whole, rtol=0, atol=1e-9)


def test_mixed_precision_does_not_round_the_combined_gradient(root, tmp_path):
    """By one step without momentum, so that the step tells the gradient."""

    def moved(folder, weighting):
        torch.manual_seed(0)
        trained = module(weighting, optimizer=lambda parameters: torch.optim.SGD(parameters, lr=1e-3))
        start = flat(trained)
        trainer(folder, max_steps=1, precision="bf16-mixed", callbacks=[MeasureAgain()]).fit(trained, data(root))
        return flat(trained) - start

    expected = moved(tmp_path / "sum", Equal())
    actual = moved(tmp_path / "gradients", Aggregation(torchjd.aggregation.Sum()))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-7)


def test_clipping_and_accumulation_work_on_the_combined_gradient(root, tmp_path):
    options = {"precision": "64-true", "gradient_clip_val": 0.01, "accumulate_grad_batches": 2}
    whole = flat(fit(tmp_path, root, Equal(), 2, **options))
    by_gradients = flat(fit(tmp_path, root, Aggregation(torchjd.aggregation.Sum()), 2, **options))
    torch.testing.assert_close(by_gradients, whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["COSMOS", "Constant", "PBI", "STCH"])
def test_given_weights_follow_the_precision_and_the_device(name):
    given = {**NEEDED[name], "weights": torch.tensor([1.0, 2.0, 3.0])}
    weighting = Scalarization(getattr(torchjd.scalarization, name)(**given)).double()
    weighting.setup(list(TASKS))
    losses = {task: value.double() for task, value in Point().losses().items()}
    assert weighting(losses).dtype == torch.float64
    assert weighting.to("meta").method.weights.device.type == "meta"


def test_what_is_kept_on_the_cpu_stays_there_when_it_is_resumed():
    weighting = Aggregation(torchjd.aggregation.GradVac())
    weighting.setup(list(TASKS))
    weighting(Point().losses())
    state = weighting.get_extra_state()
    elsewhere = Aggregation(torchjd.aggregation.GradVac())
    # As if it had been trained on another device, where GradVac keeps its own on the CPU.
    [part] = state
    state[part] = {
        k: {"tensor on the CPU": next(iter(v.values()))} if isinstance(v, dict) else v for k, v in state[part].items()
    }
    elsewhere.set_extra_state(state)
    assert all(buffer.device.type == "cpu" for buffer in elsewhere.to("meta").method.buffers())


def test_step_of_what_is_learnt_can_be_another(root, tmp_path):
    trained = module(Scalarization(UW(3), lr=0.5), optimizer=lambda groups: torch.optim.SGD(groups, lr=0.0))
    trainer(tmp_path, max_steps=1).fit(trained, data(root))
    # The network rests; the losses, about 30 each, push by half of that.
    assert (trained.weighting.method.log_var > 1).all()


@pytest.mark.parametrize(
    ("aggregator", "sentence"),
    [
        (torchjd.aggregation.NashMTL(2), "NashMTL refuses the gradients of ivf, mff, mef: "),
        (torchjd.aggregation.Constant(torch.ones(2)), "Constant refuses the gradients of ivf, mff, mef: "),
        (torchjd.aggregation.TrimmedMean(5), "TrimmedMean refuses the gradients of ivf, mff, mef: "),
    ],
    ids=["NashMTL", "Constant", "TrimmedMean"],
)
def test_aggregator_for_another_number_of_tasks_is_told(aggregator, sentence):
    weighting = Aggregation(aggregator)
    weighting.setup(list(TASKS))
    with pytest.raises(FusionLabError, match=sentence):
        weighting(Point().losses())


def test_gradient_that_is_not_finite_is_told_with_its_task():
    weighting = Aggregation(PCGrad())
    weighting.setup(list(TASKS))
    losses = Point().losses()
    losses["mff"] = losses["mff"] * torch.inf
    with pytest.raises(FusionLabError, match="that of 'mff' is not finite"):
        weighting(losses)


def test_frozen_parameters_stay_out_of_the_aggregation():
    point, weighting = Point(), Aggregation(torchjd.aggregation.Sum())
    weighting.setup(list(TASKS))
    point.beside.requires_grad_(False)
    weighting(point.losses()).backward()
    assert point.beside.grad is None
    torch.testing.assert_close(point.at.grad, torch.tensor([5.0, 4.0]))


@pytest.mark.parametrize("weighting", [build(UW), Aggregation(PCGrad())], ids=["UW", "PCGrad"])
def test_batch_that_lacks_a_task_is_refused_in_a_sentence(weighting):
    weighting.setup(list(TASKS))
    losses = Point().losses()
    del losses["mff"]
    with pytest.raises(FusionLabError, match=r"needs every task in each batch, but one has no mff: use .*Equal"):
        weighting(losses)


def test_wrong_number_of_tasks_is_told_with_the_tasks():
    weighting = Scalarization(UW(2))
    weighting.setup(list(TASKS))
    with pytest.raises(FusionLabError, match="UW refuses the losses of ivf, mff, mef: Parameter `values` should"):
        weighting(Point().losses())


def test_famo_of_torchjd_is_refused():
    with pytest.raises(FusionLabError, match=r"does not resume exactly: use fusion_lab\.weighting\.FAMO"):
        Scalarization(torchjd.scalarization.FAMO(3))
