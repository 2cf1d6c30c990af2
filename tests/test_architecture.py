"""Who may import whom, and a few habits, read from the sources."""

import ast
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import fusion_lab

PACKAGE = Path(fusion_lab.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"types", "errors", "files", "seal", "environment"}
PARTS = {"networks", "losses", "weighting", "data", "metrics"}
APPLICATION = {
    "registration",
    "public",
    "modules",
    "callbacks",
    "inference",
    "reporting",
    "evaluation",
    "runs",
    "studies",
    "demo",
    "app",
}
# What each may import besides itself.
MAY_IMPORT = {
    "types": set(),
    "errors": set(),
    "files": {"errors"},
    "seal": {"errors"},
    "environment": set(),
    "public": GROUND,
    **dict.fromkeys(PARTS, GROUND),
    "data": GROUND | {"public"},
    "registration": GROUND | {"data"},
    "inference": GROUND | {"networks", "data", "public", "registration"},
    "modules": GROUND | PARTS | {"inference"},
    "callbacks": GROUND | PARTS | {"inference", "modules", "public", "reporting"},
    "reporting": GROUND | {"metrics"},
    "evaluation": GROUND | {"networks", "metrics", "data", "inference", "reporting"},
    "runs": GROUND | PARTS | {"public", "modules", "callbacks", "inference"},
    "studies": GROUND | {"public", "callbacks", "reporting", "runs"},
    "demo": GROUND | PARTS | {"inference", "reporting", "runs"},
    "app": GROUND | {"data", "networks", "inference"},
    "cli": GROUND | PARTS | APPLICATION,
}
KNOW_LIGHTNING = ("modules/", "callbacks/", "cli/", "runs/", "data/datamodules.py")
LINES = 350


def place(source):
    return source.relative_to(PACKAGE).as_posix()


def home(source):
    """The part of the package that a file belongs to; the facade of the package belongs to none."""
    part = source.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return None if part == "__init__" else part


def imports(source):
    """The dotted names that a file imports, relative ones made absolute."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    package = ["fusion_lab", *source.relative_to(PACKAGE).parent.parts]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            # `from fusion_lab import networks` names the part only here.
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.fixture(params=SOURCES, ids=place)
def source(request):
    return request.param


def test_every_part_has_a_place_in_the_order():
    assert {home(source) for source in SOURCES} - {None} == set(MAY_IMPORT)


def test_parts_import_only_what_lies_below_them(source):
    part = home(source)
    if part is None:
        return
    wanted = {name.split(".")[1] for name in imports(source) if name.startswith("fusion_lab.")}
    # A name such as __version__ comes from the facade.
    assert (wanted & set(MAY_IMPORT)) - {part} <= MAY_IMPORT[part]


def test_lightning_stays_at_the_edge(source):
    if not place(source).startswith(KNOW_LIGHTNING):
        roots = {name.split(".")[0] for name in imports(source)}
        assert not roots & {"lightning", "pytorch_lightning"}


def test_networks_are_plain_torch(source):
    if home(source) != "networks":
        return
    roots = {name.split(".")[0] for name in imports(source)}
    assert not roots & {"lightning", "jsonargparse", "omegaconf", "yaml"}
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            assert not (isinstance(called, ast.Name) and called.id in {"print", "open"}), node.lineno
            assert not (isinstance(called, ast.Attribute) and called.attr == "cuda"), node.lineno


def test_nothing_imports_tests_or_experiments(source):
    roots = {name.split(".")[0] for name in imports(source)}
    assert not roots & {"tests", "experiments", "configs", "benchmarks", "tools", "examples"}


def test_files_can_be_read_at_a_sitting(source):
    assert len(source.read_text(encoding="utf-8").splitlines()) <= LINES


def test_one_place_builds_the_command_of_a_training(source):
    """Elsewhere a training is an object: nobody builds arguments to parse them again, or knows the command line."""
    if place(source) == "runs/command.py" or place(source).startswith("cli/"):
        return
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith("fusion_lab.cli"), node.lineno
    assert not [name for name in imports(source) if name.startswith("fusion_lab.cli")]


LIGHTNINGS = {"trainer", "strategy", "loop", "connector", "fit_loop", "epoch_loop", "precision_plugin", "precision"}


def test_one_file_knows_what_lightning_keeps_to_itself(source):
    """Subclasses aside, whose own attributes these are too."""
    if place(source) == "callbacks/lightning_internals.py":
        return
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            of = node.value
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else ""
            assert name not in LIGHTNINGS, node.lineno
            assert node.attr != "_trainer", node.lineno


PACKAGES = sorted(
    ".".join(["fusion_lab", *init.relative_to(PACKAGE).parent.parts]) for init in PACKAGE.rglob("__init__.py")
)
# Their modules are all that they have: nobody takes a name from the package itself.
WITHOUT_NAMES = {
    f"fusion_lab.{name}" for name in ("cli", "data.synthetic", "data.video", "metrics.filters", "networks.layers")
}
MOST_PUBLIC = 260
WORD = re.compile(r"[A-Za-z_]\w*")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_list_what_is_public(package):
    module = import_module(package)
    assert hasattr(module, "__all__") == (package not in WITHOUT_NAMES)
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert not name.startswith("_")
        assert getattr(module, name) is not None


def test_there_are_not_too_many_public_names():
    listed = {(package, name) for package in PACKAGES for name in getattr(import_module(package), "__all__", [])}
    assert len(listed) <= MOST_PUBLIC


@pytest.fixture(scope="module")
def files_with():
    """In how many files each word is, of all that may name something of the package."""
    root = Path(__file__).parents[1]
    folders = ("tests", "examples", "benchmarks", "tools", "notebooks", "configs", "experiments", "docs")
    kinds = [(root / folder, kind) for folder in folders for kind in ("py", "md", "yaml", "ipynb")]
    files = [file for folder, kind in kinds for file in folder.rglob(f"*.{kind}")]
    files += [*SOURCES, *PACKAGE.rglob("__init__.pyi"), root / "README.md"]
    return Counter(word for file in files for word in set(WORD.findall(file.read_text(encoding="utf-8"))))


def defined(tree):
    """The names that a file defines at its top, each with what is told of it in public: its annotations."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((target.id, node) for target in targets if isinstance(target, ast.Name))


def annotated(node):
    """The names in the signatures and bases of a public function or class."""
    for inner in ast.walk(node):
        parts = [getattr(inner, "annotation", None), getattr(inner, "returns", None), *getattr(inner, "bases", [])]
        for part in filter(None, parts):
            yield from WORD.findall(ast.unparse(part))


def test_what_one_module_alone_uses_is_private(source, files_with):
    tree = ast.parse(source.read_text(encoding="utf-8"))
    named = dict(defined(tree))
    shown = {name for one, node in named.items() if not one.startswith("_") for name in annotated(node)}
    lonely = {name for name in named.keys() - shown if not name.startswith("_") and files_with[name] == 1}
    if home(source) not in ("networks", "losses"):
        assert not lonely
