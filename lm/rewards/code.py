"""Programs that a model wrote, rewarded by the tests that they pass.

A test is a call with its result, or a standard input with its output. Each runs in a fresh child with limits on time,
memory and output, in an empty environment, without files, processes, threads and network: `lm.rewards.confinement`.
The child is never given the expected result. It sends back what it found and the comparison happens here, so a program
cannot declare itself right. A child that exceeds a limit is killed with its process group.
"""

from __future__ import annotations

import ast
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from lm.errors import ConfigurationError, InputError
from lm.rewards import confinement

_CHILD = Path(__file__).with_name("code_child.py")
_PIECE = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeLimits:
    """The limits of one test."""

    wall_s: float = 5.0
    cpu_s: int = 4
    memory_bytes: int = 512 << 20
    output_bytes: int = 1 << 16


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTest:
    """One test: `function(*arguments)` gives `expected`, or the program's output on `stdin` is `expected`."""

    expected: Any
    function: str = ""
    arguments: Sequence[Any] = ()
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of one test: `passed`, or why not."""

    passed: bool
    reason: str
    seconds: float = field(compare=False, default=0.0)


def code_test(assertion: str) -> CodeTest:
    """Return the test of a line `assert function(literals) == literal`, the form of MBPP and HumanEval.

    Raises:
        InputError: another form; it could only be checked inside of the child, where a program can fake it.
    """
    try:
        match ast.parse(assertion.strip()).body:
            case [
                ast.Assert(
                    test=ast.Compare(
                        left=ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]),
                        ops=[ast.Eq()],
                        comparators=[wanted],
                    )
                )
            ]:
                literals = [ast.literal_eval(each) for each in arguments]
                return CodeTest(function=name, arguments=literals, expected=ast.literal_eval(wanted))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    raise InputError(f"test: {assertion!r:.80}, expected `assert function(literals) == literal`")


def code_reward(program: str, tests: Sequence[CodeTest], limits: CodeLimits | None = None) -> dict[str, float]:
    """Return the reward 1 for a program that passes all tests, 0 for any other, and the `passed_share` of them."""
    if not tests:
        raise InputError("tests: none, expected at least 1")
    passed = sum(run_test(program, test, limits).passed for test in tests)
    return {"reward": float(passed == len(tests)), "passed_share": passed / len(tests)}


def run_test(program: str, test: CodeTest, limits: CodeLimits | None = None) -> Verdict:
    """Run a program on one test.

    Raises:
        ConfigurationError: this machine cannot confine a child.
        InputError: a test whose arguments are not JSON values.
    """
    if not confinement.is_supported():
        raise ConfigurationError("programs of a model run on Linux on x86-64 and arm64 only, where a child is confined")
    limits, started = limits or CodeLimits(), time.monotonic()
    outcome, output, reason = _run(program, test, limits)
    reason = reason or _judge(outcome, output, test)
    return Verdict(reason == "passed", reason, time.monotonic() - started)


def _judge(outcome: str, output: str, test: CodeTest) -> str:
    if outcome.startswith("raised "):
        return outcome
    if not test.function:
        right = outcome == "ended" and output.split() == str(test.expected).split()
        return "passed" if right else "wrong output" if outcome == "ended" else "no result"
    if not outcome.startswith("value "):
        return "no result"
    try:
        value = ast.literal_eval(outcome.removeprefix("value "))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return "wrong result"
    return "passed" if _is_same(value, test.expected) else "wrong result"


def _is_same(value: Any, expected: Any) -> bool:
    """Return whether two literals are equal; a truth value is not a number, a list may stand for a tuple."""
    if isinstance(expected, bool) or isinstance(value, bool):
        return value is expected
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        return len(value) == len(expected) and all(map(_is_same, value, expected))
    if isinstance(expected, float) and isinstance(value, int | float):
        return abs(value - expected) <= 1e-9 * max(1.0, abs(expected))
    return bool(value == expected)


def _run(program: str, test: CodeTest, limits: CodeLimits) -> tuple[str, str, str]:
    """Return the outcome of the child, its output, and the limit that it exceeded, if it did."""
    receiving, sending = os.pipe()
    try:
        request = _request(program, test, limits, sending)
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(sending,),
            env={},
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(sending)
    stdin, stdout = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
    try:
        stdin.write(request)
        stdin.close()
        outcome, output, reason = _collect(receiving, stdout.fileno(), limits)
    except BrokenPipeError:
        outcome, output, reason = b"", b"", "the child ended before it read the program"
    finally:
        _end(child)
        stdout.close()
        os.close(receiving)
    if not reason and child.returncode < 0:
        number = -child.returncode
        reason = "time limit" if number in (signal.SIGXCPU, signal.SIGKILL) else f"ended by signal {number}"
    return outcome.decode("utf-8", "replace"), output.decode("utf-8", "replace"), reason


def _request(program: str, test: CodeTest, limits: CodeLimits, descriptor: int) -> bytes:
    values = {
        "program": program,
        "function": test.function,
        "arguments": list(test.arguments),
        "stdin": test.stdin,
        "cpu_s": limits.cpu_s,
        "memory_bytes": limits.memory_bytes,
        "descriptor": descriptor,
    }
    try:
        return json.dumps(values).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"test of {test.function or 'standard input'}: arguments are not JSON ({error})") from None


def _collect(result: int, output: int, limits: CodeLimits) -> tuple[bytes, bytes, str]:
    """Read both descriptors to their ends, within the limits of time and size."""
    deadline, found = time.monotonic() + limits.wall_s, {result: b"", output: b""}
    with selectors.DefaultSelector() as selector:
        for descriptor in found:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return found[result], found[output], "time limit"
            for key, _ in selector.select(left):
                piece = os.read(key.fd, _PIECE)
                found[key.fd] += piece
                if len(found[key.fd]) > limits.output_bytes:
                    return found[result], found[output], "output limit"
                if not piece:
                    selector.unregister(key.fd)
    return found[result], found[output], ""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's process group, whatever is left of it, and wait for the child."""
    if child.poll() is None:
        # A child that has written its result ends by itself in a moment; one that was cut off does not.
        try:
            child.wait(0.05)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
