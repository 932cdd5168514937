"""Resources of Triton kernels on an sm_90 GPU, read without a GPU: compiled ahead of time, then disassembled.

`recorded` runs the library's own launches on tensors without memory (`device="meta"`) and keeps their arguments in
place of starting them. `resources` compiles exactly those. Both need a process where `TRITON_INTERPRET` is not set,
since Triton interprets or compiles, not both. `python -m benchmarks.kernel_resources` prints one JSON row a kernel.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

SM_90 = GPUTarget("cuda", 90, 32)
MAX_SHARED_BYTES = 227 * 1024
MAX_REGISTERS = 255
_REPORT = re.compile(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel and the arguments of one launch, compile-time arguments and options included."""

    kernel: Any
    arguments: tuple[Any, ...]
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resources:
    """Use of one kernel: registers a thread, spilled bytes a thread, shared memory a block, instructions by kind."""

    kernel: str
    num_warps: int
    registers: int
    stack_bytes: int
    local_bytes: int
    shared_bytes: int
    num_matrix_instructions: int
    num_wide_accesses: int

    @property
    def faults(self) -> list[str]:
        """Return the limits of an sm_90 GPU that the kernel exceeds."""
        found = []
        if self.stack_bytes or self.local_bytes:
            found.append(f"{self.stack_bytes} + {self.local_bytes} bytes spilled")
        if self.registers > MAX_REGISTERS or self.registers * self.num_warps * 32 > 65_536:
            found.append(f"{self.registers} registers in {self.num_warps} warps")
        if self.shared_bytes > MAX_SHARED_BYTES:
            found.append(f"{self.shared_bytes} bytes of shared memory")
        return found

    def row(self) -> dict[str, Any]:
        """Return the values as a mapping."""
        return {**asdict(self), "faults": self.faults}


def recorded(work: Callable[[], Any]) -> list[Launch]:
    """Call `work` and return the launches in it; no kernel runs."""
    launches: list[Launch] = []

    def record(kernel: Any, *arguments: Any, grid: Any, warmup: bool, **settings: Any) -> None:
        launches.append(Launch(kernel, arguments, settings))

    with patch.object(JITFunction, "run", record):
        work()
    return launches


def resources(launch: Launch) -> Resources:
    """Compile one launch for sm_90 and read its machine code."""
    kernel, settings = launch.kernel, dict(launch.settings)
    backend = make_backend(SM_90)
    bind = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, options = bind(*launch.arguments, **settings, debug=False)
    packed = kernel._pack_args(backend, {**settings, "debug": False}, bound, specialization, options)
    parsed, signature, constants, attributes = packed
    source = ASTSource(kernel, signature, constants, attributes)
    compiled = triton.compile(source, target=SM_90, options=parsed.__dict__)
    name = f"{kernel.fn.__module__.removeprefix('lm.kernels.')}.{kernel.fn.__name__}"
    return _read(name, parsed.num_warps, compiled)


def _read(name: str, num_warps: int, compiled: Any) -> Resources:
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "kernel.cubin"
        code.write_bytes(compiled.asm["cubin"])
        report = _output(tools / "cuobjdump", "-res-usage", code)
        machine_code = _output(tools / "nvdisasm", "-c", code)
    found = _REPORT.search(report)
    if found is None:
        raise RuntimeError(f"cuobjdump gave no resources: {report!r}")
    registers, stack, _, local = map(int, found.groups())
    return Resources(
        kernel=name,
        num_warps=num_warps,
        registers=registers,
        stack_bytes=stack,
        local_bytes=local,
        shared_bytes=compiled.metadata.shared,
        num_matrix_instructions=len(re.findall(r"\b(?:HGMMA|QGMMA|HMMA|DMMA)\b", machine_code)),
        num_wide_accesses=len(re.findall(r"\b(?:LDG|STG|LDGSTS)\.E[.\w]*\.128\b", machine_code)),
    )


def _output(tool: Path, *arguments: Any) -> str:
    return subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True, check=True).stdout


def case_rows(case: str) -> list[dict[str, Any]]:
    """Return the resources of every launch of a case."""
    from benchmarks.kernel_launches import LAUNCHES

    return [{"case": case, **resources(launch).row()} for launch in recorded(LAUNCHES[case])]


def print_rows() -> None:
    """Print the rows of all cases, or of those whose names begin with an argument."""
    from benchmarks.kernel_launches import LAUNCHES

    cases = [case for case in LAUNCHES if case.startswith(tuple(sys.argv[1:]) or "")]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for rows in pool.map(case_rows, cases):
            print("\n".join(map(json.dumps, rows)), flush=True)


if __name__ == "__main__":
    print_rows()
