"""How a command ends: one line, the right code, no traceback for what the user can mend."""

import errno

import pytest

from lm.errors import ConfigurationError, Interrupted, NoSpaceError, PartialError, run_command


def ending(capsys, error):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as end:
        run_command(main)
    return end.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (PartialError("x"), 3),
        (NoSpaceError("x"), 3),
        (Interrupted("x", 15), 143),
        (KeyboardInterrupt(), 130),
        (FileNotFoundError(errno.ENOENT, "gone", "x"), 2),
        (OSError(errno.ENOSPC, "full", "x"), 3),
    ],
)
def test_each_error_ends_with_its_code_and_one_line(capsys, error, code):
    ended, message = ending(capsys, error)
    assert ended == code
    assert message.startswith("error: ")
    assert message.count("\n") == 1


def test_success_ends_with_the_returned_code():
    with pytest.raises(SystemExit) as end:
        run_command(lambda argv: 0)
    assert end.value.code == 0


def test_a_fault_of_ours_keeps_its_traceback():
    def main(argv):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main)
