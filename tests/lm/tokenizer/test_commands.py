"""The commands: the split of a text, and the warm cache."""

import subprocess
import sys

import pytest

from lm.errors import InputError
from lm.tokenizer.__main__ import coloured, main


def test_the_split_of_a_text_is_shown(tokenizer, tmp_path, capsys):
    tokenizer.save(tmp_path)
    assert main(["--tokenizer", str(tmp_path), "the é\n<|end|>"]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0].replace("|", "").startswith("the ")
    assert f"{ord('<'):>7}  <                    3c" in shown
    assert shown.endswith("bytes per token\n")
    assert main(["--tokenizer", str(tmp_path), "--special", "<|end|>"]) == 0
    assert f"{tokenizer.special_id('<|end|>'):>7}  <|end|>" in capsys.readouterr().out


def test_half_characters_and_line_ends_are_escaped(bytes_only):
    shown = coloured(bytes_only, bytes_only.encode("é\n"))
    assert "\\xc3" in shown
    assert "\\n" in shown
    assert "\n" not in shown


def test_without_a_tokenizer_it_says_so(loam_home):
    with pytest.raises(InputError, match="artifacts/tokenizer: no tokenizer yet; `make demo` trains one"):
        main(["text"])


def test_after_warming_nothing_is_left_to_compile():
    code = """
from lm.tokenizer.warm import warm
warm()
import sys
from numba.core.registry import CPUDispatcher
modules = [module for name, module in sys.modules.items() if name.startswith("lm.tokenizer.")]
functions = {f for module in modules for f in vars(module).values() if isinstance(f, CPUDispatcher)}
known = {f: len(f.signatures) for f in functions}
import pyarrow as pa
from lm.tokenizer import Tokenizer, train_bpe
texts = [f"word{i} and 中{i} " + "ab" * (i % 90) for i in range(20_000)]
for ties in ("greater", "huggingface"):
    tokenizer = train_bpe(texts, 1_500, ["<|end|>"], "o200k", ties=ties, num_threads=2)
tokenizer.encode_batch(texts, num_threads=2)
tokenizer.encode_documents(pa.array(texts, pa.large_string()))
list(tokenizer.encode_iterable(texts[:5_000]))
grown = [f.__name__ for f in functions if len(f.signatures) != known[f]]
print(len(functions), grown)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    number, grown = out.split(" ", 1)
    assert int(number) > 20
    assert grown == "[]\n"
