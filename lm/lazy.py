"""Packages whose names load on first use, so that a configuration can be read without loading torch.

A package lists its names once, in import statements that type checkers read and Python does not run:

    if TYPE_CHECKING:
        from lm.training.optimizers import AdamW

    __getattr__ = load_on_first_use(__name__)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def load_on_first_use(package: str) -> Callable[[str], Any]:
    """Return a module's `__getattr__` (PEP 562) that runs the import statement of a name when it is first used."""

    def load(name: str) -> Any:
        from lm.source_names import names_of  # only for who needs it

        module, _, attribute = names_of(package).imported.get(name, "").rpartition(".")
        if not module:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(module), attribute)

    return load
