"""Help pages of all commands: a sentence on the command, and one phrase on each argument."""

import argparse
import ast
import importlib
from pathlib import Path

import pytest

from lm.command_line import add_command

ROOT = Path(__file__).parents[2]


def commands():
    """Yield the modules of all command lines outside of `benchmarks`."""
    for folder in ("pipelines", "assets", "lm"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            source = path.read_text()
            if "ArgumentParser(" in source and any(
                isinstance(node, ast.FunctionDef) and node.name == "main" for node in ast.parse(source).body
            ):
                yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


class ParsingError(Exception):
    """Carries the parser out of a command that is about to parse its arguments."""


def parsers(parser):
    """Yield a parser and those of its subcommands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action.choices.values():
                yield from parsers(choice)


@pytest.mark.parametrize("module", [*commands()])
def test_help_names_every_command_and_argument(module, monkeypatch):
    def parse(parser, *arguments, **named):
        raise ParsingError(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    with pytest.raises(ParsingError) as caught:
        importlib.import_module(module).main([])
    for parser in parsers(caught.value.args[0]):
        summary = (parser.description or "").split("\n\n")[0]
        assert summary[:1].isupper() and summary.rstrip().endswith("."), f"{parser.prog}: {summary!r}"
        for action in parser._actions:
            if not isinstance(action, argparse._SubParsersAction):
                assert len((action.help or "").replace("default: %(default)s", "").split()) > 1, (
                    f"{parser.prog}: {action.option_strings or action.dest} has no help"
                )


def test_commands_are_found():
    assert {"pipelines.curation.__main__", "assets.__main__", "lm.training.__main__"} <= set(commands())


def test_a_subcommand_has_its_summary_as_a_sentence():
    parser = argparse.ArgumentParser(prog="x")
    added = add_command(parser.add_subparsers(), "list", "list all")
    assert added.description == "List all." and "list all" in parser.format_help()
