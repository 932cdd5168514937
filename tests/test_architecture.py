"""The house keeps its walls: which room may import which, and what an import may load."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("lm", "pipelines", "assets")
FORBIDDEN = {
    "lm": {"dagster", "dagster_pipes", "pipelines", "assets"},
    "pipelines": {"dagster", "dagster_pipes", "assets"},
}
WITHOUT_TORCH = {
    "lm.code_version",
    "lm.compiled",
    "lm.configuration",
    "lm.errors",
    "lm.lazy",
    "lm.artifact",
    "lm.local_store",
    "lm.manifest",
    "lm.locations",
    "lm.locks",
    "lm.progress",
    "lm.remote_store",
    "lm.shards",
    "lm.storage",
    "lm.store_access",
    "lm.stored_files",
    "lm.stores",
    "lm.token_stream",
    "lm.tokenizer",
    "lm.training.config",
    "lm.training.reading_order",
    "lm.training.windows",
}
"""What `pipelines` may take from `lm`: modules, and packages with all below them, that load without torch."""


PACKAGES = (
    "pipelines.paths",
    "pipelines.documents",
    "pipelines.executor",
    "pipelines.fetch",
    "pipelines.warc",
    "pipelines.common_crawl",
    "pipelines.sources",
    "pipelines.extract",
    "pipelines.classifiers",
    "pipelines.dedup",
    "pipelines.filters",
    "pipelines.decontamination",
    "pipelines.tokens",
    "pipelines.curation",
    "pipelines.report",
    "pipelines.trace",
    "pipelines.demo_crawl",
    "pipelines.curation.__main__",  # a command, not imported by anything
    "pipelines.warm",
    "assets.support",
    "assets.automation",
    "assets.graph",
    "assets.definitions",
    "assets.demo",
)
"""The order of the packages, and of the modules beside the packages: an import names an earlier one or its own."""

GPU_BACKENDS = {"lm.kernels.minhash"}
"""What `pipelines` may also take, but only inside the function that was asked for `device="cuda"`."""


def sources(*rooms):
    return [path for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]


def is_module(name):
    """Whether a dotted name is a source file or a package of this repository."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


@functools.cache
def tree_of(path):
    return ast.parse(path.read_text())


def imports(path, *, at_import_only=False):
    """Every module that a source file imports by name; `at_import_only` leaves out imports inside functions."""
    tree = tree_of(path)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if at_import_only and id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            below = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if is_module(name) else node.module for name in below)


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_arrows_run_one_way(room):
    for path in sources(room):
        wrong = {name for name in imports(path) if name.split(".")[0] in FORBIDDEN[room]}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def module_of(path):
    """The dotted name of a source file; a package's is that of its `__init__`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def place_of(module):
    """The longest entry of `PACKAGES` that is the module or holds it; None for the rooms themselves."""
    holding = [name for name in PACKAGES if f"{module}.".startswith(f"{name}.")]
    return PACKAGES.index(max(holding, key=len)) if holding else None


def imports_between_modules(*rooms):
    """The modules of the rooms that each module of the rooms imports."""
    return {
        module_of(path): {name for name in imports(path) if name.split(".")[0] in rooms} for path in sources(*rooms)
    }


def test_every_module_has_a_place_in_the_order():
    modules = [module_of(path) for path in sources("pipelines", "assets")]
    assert [module for module in modules if place_of(module) is None] == ["pipelines", "assets"]
    assert [name for name in PACKAGES if name not in modules] == []


def test_packages_import_earlier_ones_only():
    backward = [
        f"{module} imports {name}"
        for module, named in imports_between_modules("pipelines", "assets").items()
        for name in sorted(named)
        if (place_of(name) or 0) > (place_of(module) or 0)
    ]
    assert not backward


def test_no_modules_import_each_other_in_a_circle():
    graphlib.TopologicalSorter(imports_between_modules(*ROOMS)).prepare()  # its error names the circle


def test_the_model_is_made_of_little():
    allowed = {*sys.stdlib_module_names, "torch", "einops", "jaxtyping", "safetensors", "lm"}
    for path in sorted((ROOT / "lm" / "model").rglob("*.py")):
        wrong = {name.split(".")[0] for name in imports(path)} - allowed
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


def test_pipelines_take_from_lm_only_what_loads_without_torch():
    for path in sources("pipelines"):
        early = set(imports(path, at_import_only=True))
        for name in imports(path):
            if name.startswith("lm."):
                allowed = any(name == module or name.startswith(module + ".") for module in WITHOUT_TORCH)
                late = name not in early and name in GPU_BACKENDS
                assert allowed or late, f"{path.relative_to(ROOT)} imports {name}"


def test_no_room_is_named_after_nothing():
    empty_words = {"utils", "util", "common", "helpers", "helper", "misc", "base"}
    found = [path for path in sources(*ROOMS, "tests", "benchmarks") if {path.stem, path.parent.name} & empty_words]
    assert not found


def test_nothing_loads_a_pickle():
    for path in sources(*ROOMS):
        wrong = {"pickle", "cloudpickle", "dill", "shelve"} & set(imports(path))
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize(
    "module",
    ["pipelines", "pipelines.curation.run", "pipelines.trace.trace", "assets.definitions", *sorted(WITHOUT_TORCH)],
)
def test_import_loads_no_torch(module):
    if module.startswith("assets"):
        pytest.importorskip("dagster")
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
