"""The stored character classes are those of the installed `regex` package, at every code point."""

import numpy as np
import pytest

from lm.tokenizer.pretokenizing import unicode_tables
from lm.tokenizer.pretokenizing.unicode_tables import CLASSES, NUM_CODE_POINTS, OTHER, kinds


def test_every_code_point_has_the_class_that_regex_gives_it():
    pytest.importorskip("regex")
    different = np.flatnonzero(kinds() != unicode_tables.kinds_of_regex())
    assert different.size == 0, f"from U+{different[0]:04X} on: python -m {unicode_tables.__name__}"


def test_the_classes_share_no_code_point():
    regex = pytest.importorskip("regex")
    characters = "".join(map(chr, range(NUM_CODE_POINTS)))
    sizes = [len(regex.findall(expression, characters)) for expression in CLASSES.values()]
    assert sum(sizes) == np.count_nonzero(kinds() != OTHER)


def test_the_stored_file_is_what_the_command_writes():
    regex = pytest.importorskip("regex")
    from lm.tokenizer.pretokenizing.unicode_runs import REGEX_VERSION

    if regex.__version__ == REGEX_VERSION:
        assert unicode_tables.generate() == unicode_tables._RUNS_FILE.read_text()
