import pytest

from lm.accounting.__main__ import main
from lm.errors import ConfigurationError


def test_the_table_has_a_row_for_each_preset(capsys):
    assert main(["gpt2_124m", "tiny_cpu"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 and "124,439,808" in rows[0] and "weights" in heading


def test_the_budget_of_a_preset_is_readable(capsys):
    assert main(["--preset", "gpt2_1558m", "--gpus", "8", "--device", "h100", "--tokens", "3e10"]) == 0
    page = capsys.readouterr().out
    assert "8 × H100 SXM" in page and "1,557,611,200" in page and "hours" in page


@pytest.mark.parametrize("page", ["devices", "formats"])
def test_pages_are_tables(page, capsys):
    assert main([page]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5 and len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "gpt2"], "unknown key 'gpt2'"),
        (["--device", "h300"], "did you mean"),
        (["--preset", "gpt2_124m", "--gpus", "0"], "--gpus: 0, expected more than 0"),
        (["--preset", "gpt2_124m", "--tokens", "-1"], "--tokens: -1"),
        (["--mfu", "1.5"], "--mfu: 1.5"),
    ],
)
def test_bad_input_is_refused_by_name(options, message):
    with pytest.raises(ConfigurationError, match=message):
        main(options)


def test_steps_of_many_ranks_are_a_table(capsys):
    assert main(["ranks", "--preset", "llama_1b", "--device", "h100", "--microbatch", "4"]) == 0
    heading, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading[:2] == ["ranks", "strategy"]
    found = {(row[0], row[1]): row for row in rows}
    assert {number for number, _ in found} == {"8", "64", "1,024"}
    assert float(found["1,024", "fsdp"][2]) < float(found["8", "fsdp"][2]) < float(found["8", "ddp"][2])
    assert ("64", "tensor") not in found
