"""What a user is told of the mistakes that are made most."""

import pytest
import yaml

from fusion_lab.errors import FusionLabError
from fusion_lab.runs import build as building
from fusion_lab.runs.compose import compose
from fusion_lab.runs.mistakes import explain
from tests.tiny import overlay

PAIRS = "fusion_lab.data.PairDataset"


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    return overlay(folder, folder / "train", folder / "val")


@pytest.fixture
def told(config, tmp_path):
    """Build an experiment from options, or from a layer over it, that is wrong; returns the sentence."""

    def build(wrong):
        layer, options = tmp_path / "layer.yaml", [wrong] if wrong.startswith("--") else []
        layer.write_text("{}" if options else wrong)
        with pytest.raises(FusionLabError) as raised:
            building.build("fit", compose([config, layer]), options)
        return str(raised.value)

    return build


def nested(path, value):
    """Write a value below keys as YAML."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return yaml.safe_dump(value)


NETWORK = "model.init_args.network"
SENTENCES = {
    "word for a number": ("--trainer.max_steps=many", "trainer.max_steps: should be a whole number, not 'many'."),
    "fraction": ("--trainer.max_steps=1.5", "trainer.max_steps: should be a whole number, not '1.5'."),
    "word in a class": ("--data.init_args.batch_size=two", "data.batch_size: should be a whole number, not 'two'."),
    "word in a file": (
        nested("data.init_args.batch_size", "two"),
        "data.batch_size: should be a whole number, not 'two'.",
    ),
    "word for an optional number": (
        "--data.init_args.val_crop=x",
        "data.val_crop: should be a whole number, not 'x'.",
    ),
    "word where a tensor may be": (
        "--model.init_args.optimizer.init_args.lr=high",
        "model.optimizer.lr: should be a number or Tensor, not 'high'.",
    ),
    "word for a switch": (
        "--model.init_args.skip_bad_losses=maybe",
        "model.skip_bad_losses: should be true or false, not 'maybe'.",
    ),
    "one of several types": (
        "--seed_everything=x",
        "seed_everything: should be true or false or a whole number, not 'x'.",
    ),
    "none of the choices": (
        "--data.init_args.on_bad_sample=ignore",
        "data.on_bad_sample: should be one of 'raise', 'skip', not 'ignore'.",
    ),
    "long value": (
        f"--trainer.max_steps={'x' * 500}",
        f"trainer.max_steps: should be a whole number, not '{'x' * 60} ...'.",
    ),
    "no list": (nested("model.init_args.metrics", "EN"), "model.metrics: should be a list, not 'EN'."),
    "no dictionary": (
        nested("data.init_args.train", [1]),
        "data.train: should be a dictionary of `key: value`, not '[1]'.",
    ),
    "nested key": (
        nested(f"{NETWORK}.init_args.embed_dimm", 4),
        "model.network: there is no key 'embed_dimm': did you mean 'embed_dim'?",
    ),
    "key of a pair": (
        nested("data.init_args.train.ivf", [{"class_path": PAIRS, "init_args": {"rooot": "x"}}]),
        "data.train.ivf: there is no key 'rooot': did you mean 'root'?",
    ),
    "class": (
        f"--{NETWORK}.class_path=fusion_lab.networks.Tita",
        "model.network: there is no 'Tita' in fusion_lab.networks: did you mean 'TITA'?",
    ),
    "class elsewhere": (
        nested("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.EarlyStoping"}]),
        "trainer.callbacks: there is no 'EarlyStoping' in lightning.pytorch.callbacks: did you mean 'EarlyStopping'?",
    ),
    "class of a factory": (
        "--model.init_args.optimizer.class_path=torch.optim.Adamm",
        "model.optimizer: there is no 'Adamm' in torch.optim: did you mean 'Adam' or 'RAdam' or 'NAdam'?",
    ),
    "other kind in a factory": (
        "--model.init_args.optimizer.class_path=torch.nn.Linear",
        "model.optimizer: torch.nn.Linear is no Optimizer: name a class of that kind.",
    ),
    "other kind": (
        f"--{NETWORK}.class_path=torch.nn.Linear",
        "model.network: torch.nn.Linear is no FusionNetwork: name a class of that kind.",
    ),
    "base class": (
        f"--{NETWORK}.class_path=fusion_lab.networks.FusionNetwork",
        "model.network: fusion_lab.networks.FusionNetwork is only the base of other classes: name one of those.",
    ),
    "package that is missing": (
        f"--{NETWORK}.class_path=my_package.Net",
        "model.network: there is no module 'my_package': check the class path, and that its package is installed.",
    ),
    "no class path": (
        f"--{NETWORK}.class_path=TITTA",
        "model.network: 'TITTA' is no class path: write the package and the class, such as fusion_lab.networks.TITA.",
    ),
    "class path left out": (
        nested("data", {"batch_size": 3}),
        "data: the key 'batch_size' should be in `init_args`.",
    ),
    "class path empty": (
        nested(f"{NETWORK}.class_path", None),
        "model.network: `class_path` is empty or no text: name a class, such as fusion_lab.networks.TITA.",
    ),
    "arguments that are none": (
        nested("data.init_args", 3),
        "data: `init_args` should be a dictionary of `key: value`, not of type int.",
    ),
    "argument left out": (
        nested("trainer.callbacks", [{"class_path": "lightning.pytorch.callbacks.EarlyStopping"}]),
        "trainer.callbacks: `monitor` is missing: it has no default.",
    ),
    "model left out": (nested("model", None), "`model` is missing: it has no default."),
    "reference": (
        "--exp.name=${exp.nmae}",
        "Interpolation key 'exp.nmae' not found.",
    ),
    "value out of range": (
        "--data.init_args.batch_size=0",
        "`batch_size` should be at least 1. Found `batch_size = 0`.",
    ),
}


@pytest.mark.parametrize(("wrong", "sentence"), SENTENCES.values(), ids=SENTENCES)
def test_sentences(told, wrong, sentence):
    assert told(wrong) == sentence


def test_all_choices_of_a_key_are_told(told):
    sentence = told("--trainer.precision=17")
    assert sentence.startswith("trainer.precision: should be one of 64, 32, 16, ")
    assert "'bf16-mixed'" in sentence
    assert sentence.endswith(", not '17'.")


def test_what_is_not_known_is_told_as_it_is_on_one_line_of_bounded_length():
    assert explain("something\n  else", {}, {}) == "something else."
    assert len(explain("x" * 5000, {}, {})) < 500
