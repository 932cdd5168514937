"""The funnel as a plain-text table."""

from pipelines.curation.funnel import funnel_lines


def test_the_most_frequent_reasons_stand_first():
    row = {
        "stage": "extract", "num_in": 1200, "num_kept": 1000, "num_removed": 190, "num_lost": 10, "num_cut": 7,
        "removed_by_rule": {"empty": 20, "http_status": 160, "encoding": 10}, "lost_by_reason": {"truncated": 30},
        "rules_off": {},
    }  # fmt: skip
    heading, line = funnel_lines([row])
    assert heading.split()[:5] == ["documents", "in", "kept", "removed", "lost"]
    assert line == "extract          1,200   1,000      190    10   http_status 160, truncated 30, empty 20, 7 cut"
    *_, off = funnel_lines([{**row, "rules_off": {"stop_words in ko": 1_200}}])
    assert off.strip() == "not applied (the rule is off for the language): stop_words in ko 1,200"
