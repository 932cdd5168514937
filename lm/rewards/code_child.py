"""The child that runs a model's program once, started by `lm.rewards.code` as a file of its own.

It reads one request as JSON from standard input, loads the modules that a program may import, confines itself, runs
the program, and writes `repr` of the result to the descriptor of the request. It never holds the expected result.
"""

import importlib
import io
import json
import os
import runpy
import sys
from pathlib import Path

MODULES = (
    "abc", "array", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses", "datetime", "decimal",
    "enum", "fractions", "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "queue", "random",
    "re", "statistics", "string", "textwrap", "time", "typing", "unicodedata",
)  # fmt: skip
"""The modules of the standard library that a program may import; no file can be opened once it runs."""


def main() -> None:
    """Run the request and end the process."""
    request = json.loads(sys.stdin.buffer.read())
    for name in MODULES:
        importlib.import_module(name)
    confinement = runpy.run_path(str(Path(__file__).with_name("confinement.py")))
    sys.stdin = io.StringIO(request["stdin"])
    confinement["limit_resources"](cpu_s=request["cpu_s"], memory_bytes=request["memory_bytes"])
    confinement["forbid_other_calls"]()
    space: dict[str, object] = {"__name__": "__main__"}
    try:
        exec(compile(request["program"], "<program>", "exec"), space)  # what this child is for
        if request["function"]:
            outcome = "value " + repr(space[request["function"]](*request["arguments"]))  # type: ignore[operator]
        else:
            outcome = "ended"
    except SystemExit as error:
        outcome = "ended" if not error.code and not request["function"] else "raised SystemExit"
    except BaseException as error:
        outcome = f"raised {type(error).__name__}"
    sys.stdout.flush()
    os.write(request["descriptor"], outcome.encode("utf-8", "backslashreplace"))
    os._exit(0)


if __name__ == "__main__":
    main()
