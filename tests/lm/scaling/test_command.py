import json
import re

import pytest

from lm.errors import ConfigurationError, InputError
from lm.scaling.__main__ import main
from tests.lm.scaling.laws import planted


@pytest.fixture
def points(tmp_path):
    path, made = tmp_path / "points.csv", planted(num_points=48, budgets=8)
    rows = zip(made.parameters, made.tokens, made.loss, strict=True)
    # At every budget the loss has its minimum at a rate of .01.
    rates = [0.01 * 2.0 ** (index % 6 - 2.5) for index in range(len(made))]
    lines = [f"{n},{d},{loss},{rate}\n" for (n, d, loss), rate in zip(rows, rates, strict=True)]
    path.write_text("N,D,loss,lr\n" + "".join(lines))
    return path


def test_points_of_a_paper_become_a_law_and_the_law_a_plan(points, tmp_path, capsys):
    law = tmp_path / "law.json"
    assert main(["fit", str(points), "--draws", "20", "--json", str(law), "--flops", "1e22"]) == 0
    page = capsys.readouterr().out
    assert "48 points, N counts total parameters" in page and "IsoFLOP minima, quadratic" in page
    assert "tokens per parameter" in page and "95%" in page and "prediction error of N*" in page
    assert "Best learning rate against compute" in page
    assert len(json.loads(law.read_text())["parametric"]["draws"]) == 20
    assert main(["plan", "--flops", "1e20", "--law", str(law)]) == 0
    page = capsys.readouterr().out
    assert "own fit" in page and "95% interval" in page and "python -m lm.training" in page


def test_hours_of_devices_are_a_budget(capsys):
    assert main(["plan", "--gpus", "8", "--hours", "24", "--device", "h200", "--unique-tokens", "5e9"]) == 0
    page = capsys.readouterr().out
    assert "epochs" in page and "20 to 1" in page and "24.0 hours on 8 × H200 SXM" in page
    low, high = map(float, re.search(r"\((\S+) to (\S+) between the two published fits", page).groups())
    expected = float(re.search(r"expected loss +(\S+) nats", page)[1])
    assert low < high and expected in (low, high)


def test_no_range_is_given_above_a_uniform_guess(capsys):
    assert main(["plan", "--flops", "1e17", "--unique-tokens", "590000"]) == 0
    assert "the loss of a uniform guess; no range is given" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["plan"], ["plan", "--flops", "1e20", "--hours", "3"]])
def test_a_plan_has_one_budget(options):
    with pytest.raises(ConfigurationError, match="exactly one of --flops and --hours"):
        main(options)


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        main(["fit", str(tmp_path / "none.csv")])
    with pytest.raises(InputError, match=r"none\.json: no such file"):
        main(["plan", "--flops", "1e20", "--law", str(tmp_path / "none.json")])
    for rows, message in (("1e6,1e7,4", "expected at least 2"), ("1e6,1e7,4\n2e6,5e7,4", "expected at least 6")):
        path = tmp_path / "few.csv"
        path.write_text(f"N,D,loss\n{rows}\n")
        with pytest.raises(InputError, match=message):
            main(["fit", str(path)])


@pytest.mark.parametrize("value", ["-1", "0", "inf", "nan"])
def test_a_budget_is_a_positive_number(value):
    with pytest.raises(SystemExit):
        main(["plan", f"--flops={value}"])
