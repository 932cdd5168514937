"""What a Triton kernel takes of a GPU, told without one: compiled ahead of time, then read from the machine code.

Needs a process of its own where `TRITON_INTERPRET` is not set: Triton interprets or compiles, not both.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget

_REPORT = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


def kernel_resources(
    kernel: Any, arguments: Mapping[str, str], constants: Mapping[str, int], *, num_warps: int, capability: int = 90
) -> dict[str, int]:
    """Registers a thread, bytes of stack and local memory a thread (spills), bytes of shared memory a block.

    `arguments` maps the kernel's arguments to Triton's type names (`"*i32"`), `constants` the compile-time ones to
    values; `capability` 90 is sm_90.
    """
    names = list(kernel.arg_names)
    source = triton.compiler.ASTSource(
        kernel,
        {name: arguments.get(name, "constexpr") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
    )
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": num_warps})
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "kernel.cubin"
        code.write_bytes(compiled.asm["cubin"])
        tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
        told = subprocess.run([tool, "-res-usage", code], capture_output=True, text=True, check=True).stdout
    found = _REPORT.search(told)
    if found is None:
        raise RuntimeError(f"cuobjdump told no resources: {told!r}")
    registers, stack, shared, local = map(int, found.groups())
    return {"registers": registers, "stack_bytes": stack, "shared_bytes": shared, "local_bytes": local}
