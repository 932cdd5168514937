"""Lazy package exports: a name is imported on first use, so that a configuration loads without torch.

A package lists its names under `TYPE_CHECKING`, for readers and type checkers, and by module:

    __getattr__ = lazy_names(__name__, {"lm.training.optimizers": ("AdamW", "clip_gradients")})
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(package: str, names_by_module: Mapping[str, Sequence[str]]) -> Callable[[str], Any]:
    """Return a module's `__getattr__` (PEP 562), which imports each name from its module on first access."""
    module_of = {name: module for module, names in names_by_module.items() for name in names}

    def load(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(module_of[name]), name)

    return load
