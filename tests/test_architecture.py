"""The architecture: allowed imports between packages, and modules that an import may load."""

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
    "lm.command_line",
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
    "assets.__main__",
)
"""The order of the packages, and of the modules beside the packages: an import names an earlier one or its own."""

TESTED_ELSEWHERE = {
    "tests/pipelines/filters/pii/test_first_look.py": (
        "compiled loops, held against the plain walk through the function that calls them",
        "pipelines.filters.pii.look_kernel",
    ),
    "tests/pipelines/filters/pii/test_phones.py": (
        "a number is judged by its plan and by the words beside it",
        "pipelines.filters.pii.numbering_plans",
        "pipelines.filters.pii.phone_context",
        "pipelines.filters.pii.phone_words",
    ),
    "tests/pipelines/filters/pii/test_masker.py": ("the spans of all kinds, merged", "pipelines.filters.pii.spans"),
    "tests/pipelines/filters/test_heuristics.py": (
        "word lists, and the rules' choice of them, which only whole rules show",
        "pipelines.filters.language_rules",
        "pipelines.filters.stop_words",
    ),
    "tests/pipelines/filters/test_text_statistics.py": (
        "compiled loops, held against a plain reference through the function that calls them",
        "pipelines.filters.text_kernels",
    ),
    "tests/pipelines/filters/test_reference_pages.py": (
        "trains on files and makes the stages: the suites of its two kinds of files do so",
        "pipelines.filters.trained",
    ),
    "tests/pipelines/extract/test_main_content.py": (
        "kinds of elements and words, which only a whole page shows",
        "pipelines.extract.cutting",
        "pipelines.extract.elements",
        "pipelines.extract.word_lists",
    ),
    "tests/pipelines/extract/test_markup.py": (
        "markup that is turned into text on its way",
        "pipelines.extract.list_numbers",
        "pipelines.extract.superscripts",
    ),
    "tests/pipelines/extract/test_records.py": (
        "records of one page, and the answers of a guarded child",
        "pipelines.extract.page_records",
        "pipelines.extract.page_text",
    ),
    "tests/pipelines/extract/test_sandbox.py": ("the child's side of the guard", "pipelines.extract.sandbox_child"),
    "tests/pipelines/extract/test_site_boilerplate.py": (
        "a partition's extraction, with the pages of one site together",
        "pipelines.extract.partition",
    ),
    "tests/pipelines/dedup/test_corpus.py": ("verdicts over a whole corpus", "pipelines.dedup.verdicts"),
    "tests/pipelines/report/test_curation.py": ("the report's page is whole", "pipelines.report.html_page"),
    "tests/pipelines/sources/test_warc_groups.py": ("a name, a place and a digest", "pipelines.sources.warc_file"),
    "tests/pipelines/warc/test_records.py": (
        "records come out of every form of compression",
        "pipelines.warc.zstd",
    ),
    "tests/pipelines/demo_crawl/test_write.py": (
        "what pages are made of: the crawl as it is written shows every world and every kind of damage",
        *(
            f"pipelines.demo_crawl.{name}"
            for name in (
                "__main__", "body", "clauses", "configuration", "duplicates", "entities", "exchange", "frames",
                "labels", "lexicon", "markup", "names", "pages", "personal_data", "plan", "site", "tasks",
                "worlds.articles", "worlds.facts", "worlds.foreign", "worlds.forum", "worlds.french", "worlds.german",
                "worlds.harmful", "worlds.how_to", "worlds.italian", "worlds.lessons", "worlds.spam",
                "worlds.spanish", "worlds.stories",
            )
        ),
    ),
    "tests/assets/graph/test_model_checks.py": ("what the check of a regression reads", "assets.support.promotion"),
    "tests/assets/graph/test_curation_checks.py": ("its checks are among each step's", "assets.graph.truth_checks"),
    "tests/assets/graph/test_chain.py": (
        "assets and checks, which only a run of the graph shows",
        "assets.automation.presets",
        *(
            f"assets.graph.{name}"
            for name in (
                "alignment", "evaluation", "mixture", "pretraining", "tokens"
            )
        ),
    ),
}  # fmt: skip
"""Modules without a test of their name: by the test that covers them, the reason and the modules."""

MODEL_ORDER = ("lm.model", "lm.training", "lm.rewards", "lm.chat", "lm.inference", "lm.evaluation", "lm.alignment")
"""The order of the packages above the model; `lm.training` calls the evaluation of held-out text and its samples."""

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


def test_chat_rewards_inference_evaluation_and_alignment_import_earlier_ones_only():
    places = {name: place for place, name in enumerate(MODEL_ORDER)}
    backward = [
        f"{module} imports {name}"
        for module, named in imports_between_modules("lm").items()
        for name in sorted(named)
        if module.startswith(MODEL_ORDER[2:])
        and places.get(".".join(name.split(".")[:2]), 0) > places[".".join(module.split(".")[:2])]
    ]
    assert not backward


def test_no_modules_import_each_other_in_a_circle():
    graphlib.TopologicalSorter(imports_between_modules(*ROOMS)).prepare()  # its error names the circle


def own_test(module):
    """The test of a module's name; a command is tested by `test_command.py`."""
    *rooms, name = module.split(".")
    return ROOT.joinpath("tests", *rooms, f"test_{'command' if name == '__main__' else name}.py")


def test_every_module_has_a_test_of_its_name_or_stands_in_the_list():
    modules = [module_of(path) for path in sources("pipelines", "assets") if path.stem != "__init__"]
    listed = [module for _, *covered in TESTED_ELSEWHERE.values() for module in covered]
    assert len(listed) == len(set(listed))
    assert [module for module in listed if module not in modules or own_test(module).exists()] == []
    without = [module for module in modules if module not in listed and not own_test(module).exists()]
    assert not without, f"write a test of its name, or name one in TESTED_ELSEWHERE: {', '.join(without)}"


def source_of(module):
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.mark.parametrize("test", TESTED_ELSEWHERE)
def test_a_listed_test_reaches_its_modules(test):
    """By imports at any depth, from the test and from the fixtures beside it."""
    beside = [path for path in (ROOT / test, (ROOT / test).with_name("conftest.py")) if path.exists()]
    reached, waiting = set(), [name for path in beside for name in imports(path)]
    while waiting:
        name = waiting.pop()
        if name not in reached and is_module(name):
            reached.add(name)
            waiting += imports(source_of(name))
    _, *covered = TESTED_ELSEWHERE[test]
    assert [module for module in covered if module not in reached] == []


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
