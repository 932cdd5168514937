"""Subcommands of a command line, each with a help page of its own."""

from __future__ import annotations

import argparse

Commands = argparse._SubParsersAction  # argparse has no public name for the result of `add_subparsers`


def add_command(commands: Commands[argparse.ArgumentParser], name: str, summary: str) -> argparse.ArgumentParser:
    """Add the subcommand `name` with `summary` as its help and, as a sentence, as the description of its help page."""
    return commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
