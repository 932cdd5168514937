import json

import numpy as np
import pytest

from lm.errors import InputError
from lm.scaling.points import points_of, read_points


def test_the_third_number_follows_from_six_n_d(tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("N, D ,Loss\n1e6,2e7,3.5\n2e6,4e7,3.2\n".replace(" D ", "D"))
    found = read_points(path)
    assert found.flops == pytest.approx([1.2e14, 4.8e14]) and found.count == "total"
    by_budget = points_of([{"flops": 1.2e14, "params": 1e6, "loss": 3}])
    assert by_budget.tokens == pytest.approx([2e7])
    by_tokens = points_of([{"C": 1.2e14, "tokens": 2e7, "final_loss": 3}], "non_embedding")
    assert by_tokens.parameters == pytest.approx([1e6]) and by_tokens.count == "non_embedding"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("N,D\n1e6,2e7\n", "expected a loss and two of parameters, tokens, flops; missing .*loss"),
        ("N,loss\n1e6,3\n", "missing tokens .*; flops"),
        ("N,D,loss\n1e6,2e7,-3\n", "row 1: loss: '-3', expected a finite number above 0"),
        ("N,D,loss\n1e6,2e7,3\n1e6,many,3\n", "row 2: D: 'many', expected a number"),
        ("N,D,loss\n1e6,2e7,nan\n", "row 1: loss: 'nan'"),
        ("N,D,loss\n1e6,2e7\n", "row 1: loss: None"),
        ("N,D,loss\n", "no rows"),
        ("", "no rows"),
    ],
)
def test_bad_points_are_refused_by_file_row_and_column(text, message, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=f"points.csv.*{message}"):
        read_points(path)


def test_bad_json_is_refused(tmp_path):
    path = tmp_path / "points.json"
    for text in ("{", "{}", "[1]"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"points\.json"):
            read_points(path)
    path.write_text(json.dumps([{"parameters": True, "tokens": 1e7, "loss": 3}]))
    with pytest.raises(InputError, match="row 1: parameters: True"):
        read_points(path)


def test_budgets_that_differ_by_rounding_are_one():
    rows = [{"C": c, "N": 1e6, "loss": 3} for c in (1e18, 1.004e18, 2e18, 1.999e18, 3e18)]
    found = points_of(rows)
    assert np.allclose(found.budgets(), [1e18, 1.999e18, 3e18])
    assert [len(found.of_budget(each)) for each in found.budgets()] == [2, 2, 1]
