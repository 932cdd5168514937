"""Subcommands of a command line, each with a help page of its own."""

from __future__ import annotations

import argparse

Commands = argparse._SubParsersAction  # argparse has no public name for the result of `add_subparsers`


def add_command(commands: Commands[argparse.ArgumentParser], name: str, summary: str) -> argparse.ArgumentParser:
    """Add the subcommand `name`; `summary` stands in the list of commands and, as a sentence, on its own help page."""
    return commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
