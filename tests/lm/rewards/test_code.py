"""Programs by their tests: right ones pass, and hostile or cheating ones are stopped with the reason recorded."""

import os
import time
from pathlib import Path

import pytest

from lm.errors import InputError
from lm.rewards import confinement
from lm.rewards.code import CodeLimits, CodeTest, code_reward, code_test, run_test

pytestmark = pytest.mark.skipif(not confinement.is_supported(), reason="a child is confined on Linux only")

SUM = CodeTest(function="f", arguments=[1, 2], expected=3)
LIMITS = CodeLimits(wall_s=1.5, cpu_s=1, memory_bytes=256 << 20)

HOSTILE = {
    "fork bomb": ("import os\ndef f(a, b):\n while True: os.fork()", "raised PermissionError"),
    "threads": (
        "import threading\ndef f(a, b):\n threading.Thread(target=print).start()\n return 3",
        "raised RuntimeError",
    ),
    "a program": ("import os\ndef f(a, b):\n os.execv('/bin/sh', ['sh'])", "raised PermissionError"),
    "10 GB": ("def f(a, b):\n x = bytearray(10 * 2**30)\n return 3", "raised MemoryError"),
    "endless print": ("def f(a, b):\n while True: print('x' * 1000)", "output limit"),
    "an endless loop": ("def f(a, b):\n while True: pass", "time limit"),
    "sleep": ("import time\ndef f(a, b):\n time.sleep(60)", "time limit"),
    "a socket": ("import _socket\n_socket.socket()", "raised ModuleNotFoundError"),
    "a socket by number": (
        "import ctypes\ndef f(a, b):\n r = ctypes.CDLL(None).syscall(41, 2, 1, 0)\n return 3 if r >= 0 else r",
        "wrong result",
    ),
    "a write": ("def f(a, b):\n open('FOLDER/written', 'w')\n return 3", "raised PermissionError"),
    "a read": ("def f(a, b):\n return open('/etc/passwd').read()", "raised PermissionError"),
    "a signal": ("import os\ndef f(a, b):\n os.kill(os.getppid(), 9)", "raised PermissionError"),
    "a new session": ("import os\nos.setsid()", "raised PermissionError"),
    "deep recursion": ("def f(a, b): return f(a, b)", "raised RecursionError"),
    "an early exit": ("import os\nos._exit(0)", "no result"),
    "an exit": ("import sys\ndef f(a, b): sys.exit(0)", "raised SystemExit"),
    "equal to all": ("class T:\n def __eq__(s, o): return True\ndef f(a, b): return T()", "wrong result"),
    "equal number": ("class T(int):\n def __eq__(s, o): return True\ndef f(a, b): return T(7)", "wrong result"),
    "a fake repr": ("import builtins\nbuiltins.repr = lambda x: 'True'\ndef f(a, b): return 9", "wrong result"),
    "the callers frames": (
        "import sys\ndef f(a, b):\n return sys._getframe(1).f_locals['request']['expected']",
        "raised KeyError",
    ),
    "a truth value": ("def f(a, b): return True", "wrong result"),
    "nothing": ("", "raised KeyError"),
    "no program": ("def f(a, b:", "raised SyntaxError"),
    "many digits": ("def f(a, b): return 10 ** 10_000_000", ("time limit", "raised ValueError", "output limit")),
}


@pytest.mark.fault(34)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_stopped(name, tmp_path):
    program, reasons = HOSTILE[name]
    before, started = _children(), time.monotonic()
    verdict = run_test(program.replace("FOLDER", str(tmp_path)), SUM, LIMITS)
    assert not verdict.passed and verdict.reason in ([reasons] if isinstance(reasons, str) else reasons)
    assert time.monotonic() - started < 10
    assert _children() == before and list(tmp_path.iterdir()) == []


def _children():
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return set(path.read_text().split()) if path.exists() else set()


@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(a, b): return a + b", SUM),
        ("import math\ndef f(x):\n return [math.isqrt(x)]", code_test("assert f(49) == [7]")),
        ("def f(x): return x / 3", code_test("assert f(1) == 0.3333333333")),
        ("def f(s): return tuple(s)", code_test("assert f('ab') == ('a', 'b')")),
        ("from collections import Counter\ndef f(s): return dict(Counter(s))", code_test("assert f('aa') == {'a': 2}")),
        ("n = int(input())\nprint(n * 2)", CodeTest(stdin="4\n", expected="8")),
        (
            "import sys\nprint(sum(map(int, sys.stdin.read().split())))\nsys.exit()",
            CodeTest(stdin="1 2\n3", expected="6\n"),
        ),
    ],
)
def test_right_programs_pass(program, test):
    verdict = run_test(program, test)
    assert (verdict.passed, verdict.reason) == (True, "passed")


def test_the_reward_needs_every_test():
    tests = [code_test("assert f(1) == 1"), code_test("assert f(2) == 4")]
    assert code_reward("def f(x): return x * x", tests) == {"reward": 1.0, "passed_share": 1.0}
    assert code_reward("def f(x): return 1", tests) == {"reward": 0.0, "passed_share": 0.5}
    with pytest.raises(InputError, match="expected at least 1"):
        code_reward("", [])


@pytest.mark.parametrize(
    "line", ["assert f(1)", "assert f(x) == 1", "assert not f(1) == 1", "f(1) == 1", "assert (", ""]
)
def test_tests_of_another_form_are_refused(line):
    with pytest.raises(InputError, match="expected `assert function"):
        code_test(line)
