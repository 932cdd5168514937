"""The rules for prose that a test can hold: first lines and public docstrings (CONTRIBUTING.md, "Prose")."""

import ast
import re
import tokenize
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("pipelines", "assets", "benchmarks", "lm")

CLAUSE = re.compile(r"(What|Who|Whom|Whose|How|Which|Where|Whether|Why|That)\b(?!-)")
PERSONIFIED = re.compile(r"\b(tells?|told|asks?|asked|meets?|knows?|stands?|looks|bends?|foretells?)\b")
IS_NO = re.compile(r"(?<![Tt]here )\b(?:is|are|be) no (?!longer\b|more\b|less\b|larger\b)")
NOT_A_VERB = re.compile(
    r"(?:The|An?|All|Each|Every|Both|Half|One|Two|Three|Some|These|This|It|Its|Our|Whole|Same|Text|Mean|Median"
    r"|Of|For|By|In|On|At|To|From|Within|Without|As|While|With|Up|When|After|Before|Args:|Raises:)(?!\w)"
    r"|[^A-Z]|[A-Z](?![a-z])|[A-Z][a-z]*[a-rt-z]s\b"
)
"""Articles, quantifiers, prepositions, symbols, names in capitals, plurals, and verbs in the third person."""
MOST_WORDS = 25
DATA = ("pipelines/demo_crawl/", "benchmarks/pii_texts.py")
"""Modules whose strings are the text of pages and not prose about code."""


@cache
def sources():
    return [
        (path.relative_to(ROOT).as_posix(), ast.parse(path.read_text()))
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
    ]


def first_line(text):
    return " ".join(text.split("\n\n")[0].split())


@cache
def documented(tree):
    """Return `(name, line, docstring, is public)` of a module and of its classes and functions."""
    found = [("", 1, ast.get_docstring(tree), True)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append((node.name, node.lineno, ast.get_docstring(node), not node.name.startswith("_")))
    return [entry for entry in found if entry[2]]


def offences(wrong):
    return [
        f"{path}:{line}: {name or 'module'}: {first_line(text)}"
        for path, tree in sources()
        for name, line, text, public in documented(tree)
        if wrong(name, text, public)
    ]


def comments_and_pages():
    """Yield `(place, text)` of the comments in all folders of code, and of the lines of README and docs."""
    for folder in (*FOLDERS, "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            with tokenize.open(path) as file:
                for token in tokenize.generate_tokens(file.readline):
                    if token.type == tokenize.COMMENT:
                        yield f"{path.relative_to(ROOT)}:{token.start[0]}", token.string
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def test_first_lines_name_the_thing():
    """A first line is a noun phrase or a sentence with a verb, and neither a clause nor a question."""
    assert offences(lambda name, text, public: CLAUSE.match(text) and (public or not text.startswith("Whether"))) == []


def returns_or_acts(node):
    """Return whether a function is called for its work: neither a property nor one whose docstring Dagster shows."""
    decorators = [ast.unparse(each) for each in node.decorator_list]
    return node.name != "__init__" and not any(
        re.search(r"property|\.setter|overload|\bdg\.", each) for each in decorators
    )


def test_first_lines_of_functions_begin_with_a_verb():
    """Public or not: `Return the …`, `Yield …`, `Write …`."""
    functions = [
        (f"{path}:{node.lineno}: {node.name}", first_line(ast.get_docstring(node)))
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node)
        and returns_or_acts(node)
    ]
    assert len(functions) > 1000
    assert [f"{place}: {text}" for place, text in functions if NOT_A_VERB.match(text)] == []


def own_nodes(function):
    """Yield the nodes of a function's body without those of functions inside."""
    waiting = list(function.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node
            waiting += ast.iter_child_nodes(node)


def test_first_words_of_functions_are_true():
    """Generators `Yield` and other functions do not; functions that return None do not `Return`."""
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef) or not ast.get_docstring(node) or not returns_or_acts(node):
                continue
            verb = first_line(ast.get_docstring(node)).split()[0]
            is_stub = all(isinstance(each, ast.Expr | ast.Raise) for each in node.body)
            is_generator = any(isinstance(each, ast.Yield | ast.YieldFrom) for each in own_nodes(node))
            is_context = any("contextmanager" in ast.unparse(each) for each in node.decorator_list)
            returns_none = node.returns is not None and ast.unparse(node.returns) == "None"
            if is_stub or is_context:
                continue
            if ((verb == "Yield") != is_generator and verb in ("Yield", "Return")) or (
                verb == "Return" and returns_none
            ):
                found.append(f"{path}:{node.lineno}: {node.name}: {first_line(ast.get_docstring(node))}")
    assert found == []


def test_code_is_not_personified_in_a_modules_first_line():
    assert offences(lambda name, text, _: not name and PERSONIFIED.search(first_line(text))) == []


def test_is_not_a_never_is_no():
    """In docstrings of every kind, in messages and descriptions, in comments, and on pages."""
    found = offences(lambda name, text, _: IS_NO.search(text))
    found += [f"{place}: {text}" for place, text in comments_and_pages() if IS_NO.search(text)]
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not path.startswith(DATA):
                found += [f"{path}:{node.lineno}: {node.value}"] * bool(IS_NO.search(node.value))
    assert found == []


def test_first_sentences_are_short():
    """The sentences of a public first paragraph have at most 25 words; code in backticks counts as one."""

    def is_long(name, text, public):
        sentences = re.split(r"(?<=[.;:])\s", re.sub(r"`[^`]*`", "x", first_line(text)))
        return (public or not name) and any(len(each.split()) > MOST_WORDS for each in sentences)

    assert offences(is_long) == []


@pytest.mark.parametrize("text", ["What the rules say.", "Who meets.", "How many documents stay."])
def test_clauses_are_found(text):
    assert CLAUSE.match(text)


@pytest.mark.parametrize(
    "text", ["The rows of a table.", "Rows of a table.", "`text` in lower case.", "Returns a row."]
)
def test_lines_without_a_verb_are_found(text):
    assert NOT_A_VERB.match(text) and not NOT_A_VERB.match(f"Return {text[0].lower()}{text[1:]}")
