"""Each heuristic rule at its border, the presets' contents, and the stage's verdicts."""

import random

import pyarrow as pa
import pytest

from lm.configuration import from_mapping
from lm.errors import ConfigurationError
from pipelines.curation.funnel import funnel, funnel_lines
from pipelines.filters.heuristics import GOPHER, PRESETS, RULES, HeuristicFilter, gopher_violations
from pipelines.filters.language import LanguageFilter
from pipelines.filters.run import run_stage
from tests.pipelines.published import publish_documents

WORDS = ["river", "stone", "walking", "through", "quiet", "morning", "light", "behind", "garden", "window", "people"]


def prose(num_words, seed=0):
    """Sentences of ten words with the stop words that English has."""
    chooser = random.Random(seed)
    sentences = []
    while len(sentences) * 10 < num_words:
        sentences.append("The " + " ".join(chooser.choices(WORDS, k=7)) + " of it.")
    return " ".join(" ".join(sentences).split()[:num_words])


def batch(*texts):
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    rows = [{"doc_id": str(i), "url": f"https://example.org/{i}", "text": text} for i, text in enumerate(texts)]
    return pa.RecordBatch.from_pylist(rows, schema=schema)


def failed(text, **options):
    """The rule that removes `text`, or None."""
    _, removed = HeuristicFilter(**options)(batch(text))
    return removed.column("rule").to_pylist()[0] if removed.num_rows else None


def lines(*each):
    return "\n".join(each)


def test_good_prose_passes_every_gopher_rule():
    assert gopher_violations(prose(200)) == []


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("min_words", prose(50), prose(49)),
        ("max_words", prose(100_000), prose(100_001)),
        ("min_mean_word_length", "the and " + "abc " * 100, "the and " + "abc ab " * 100),
        ("max_mean_word_length", "the of " + "abcdefghij " * 100, "the of " + "abcdefghijk " * 100),
        ("hashes_per_word", prose(100) + "#" * 10, prose(100) + "#" * 11),
        ("ellipses_per_word", prose(100) + " …" * 10, prose(100) + " …" * 11),
        ("bullet_lines", "• the dog of\n" * 27 + "the dog of\n" * 3, "- the dog of\n" * 28 + "the dog of\n" * 3),
        ("ellipsis_lines", "the end of...\n" * 9 + "the dog\n" * 21, "the end of…\n" * 10 + "the dog\n" * 21),
        ("alphabetic_words", prose(80) + " 12" * 20, prose(80) + " 12" * 21),
        ("stop_words", "Dogs have, they say, fun with " * 12, "dogs have fun " * 30),
    ],
)  # fmt: skip
def test_gopher_rules_at_their_borders(rule, inside, outside):
    assert rule not in [verdict.rule for verdict in gopher_violations(inside)]
    found = {verdict.rule: verdict for verdict in gopher_violations(outside)}
    assert found[rule].threshold == RULES[rule].threshold
    assert not RULES[rule].passes(found[rule].value, found[rule].threshold)


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ("ended_lines", "this line ends here.\n" * 3 + "this line does not\n" * 22,
         "this line ends here.\n" * 2 + "this line does not\n" * 22),
        ("short_lines", lines(*["the short line"] * 2, "a line of more than thirty characters, this one"),
         lines(*["the short line"] * 5, *["a line of more than thirty characters, this one"] * 2)),
        ("duplicate_line_characters", lines(*(prose(20, seed) for seed in range(5))), lines(*[prose(20)] * 2)),
        ("newlines_per_word", lines(*["the line of words"] * 10), "\n\n".join(["the line of"] * 10)),
    ],
)  # fmt: skip
def test_fineweb_rules(rule, inside, outside):
    only = {other: None for other in PRESETS["fineweb"].rules if other != rule}
    assert failed(inside, preset="fineweb", overrides=only) is None
    assert failed(outside, preset="fineweb", overrides=only) == rule


def test_the_first_failing_rule_in_table_order_is_recorded_with_its_numbers():
    kept, removed = HeuristicFilter()(batch(prose(100), "#" * 30))
    assert kept.num_rows == 1
    assert removed.to_pylist() == [
        {"doc_id": "1", "url": "https://example.org/1", "stage": "heuristics", "rule": "min_words", "value": 0.0,
         "threshold": 50.0, "duplicate_of": None}
    ]  # fmt: skip


@pytest.mark.parametrize("placeholder", ["lorem ipsum", "Lorem Ipsum", "xLOREM ipsumx"])
def test_a_placeholder_is_found_in_any_case(placeholder):
    assert failed(f"{prose(100)} {placeholder}") == "lorem_ipsum"
    assert failed(f"{prose(100)} {placeholder.replace('s', 'ſ').replace('S', 'ſ')}") is None


def test_overrides_set_switch_off_and_add_rules():
    stage = HeuristicFilter(preset="gopher", overrides={"min_words": 10, "stop_words": None, "sentences": 2.0})
    asked = stage.thresholds()
    assert asked["min_words"] == 10
    assert "stop_words" not in asked
    assert asked["sentences"] == 2.0
    assert list(asked) == [rule for rule in RULES if rule in asked]
    assert set(GOPHER) - set(asked) == {"stop_words"}


def test_mistakes_name_the_nearest_rule_and_preset():
    with pytest.raises(ConfigurationError, match="did you mean 'min_words'"):
        HeuristicFilter(overrides={"min_word": 3})
    with pytest.raises(ConfigurationError, match="did you mean 'gopher'"):
        HeuristicFilter(preset="gofer")
    built = from_mapping(HeuristicFilter, {"preset": "c4", "overrides": {"min_words": 5, "sentences": None}})
    assert built.overrides == {"min_words": 5, "sentences": None}


def test_every_preset_passes_good_prose():
    page = "\n\n".join(prose(60, seed) for seed in range(4))
    for preset in PRESETS:
        assert failed(page, preset=preset) is None, preset


@pytest.mark.parametrize("text", ["", "\n\n", " ", "word", "\u3000\n\x00"])
def test_empty_and_tiny_texts_are_judged_not_crashed_on(text):
    for preset in PRESETS:
        assert failed(text, preset=preset) is not None


def test_verdicts_do_not_depend_on_the_batch():
    texts = [prose(100), "#", prose(30), prose(60)]
    _, together = HeuristicFilter()(batch(*texts))
    apart = [failed(text) for text in texts]
    assert together.column("rule").to_pylist() == [rule for rule in apart if rule]


@pytest.mark.fault(15)
# What grows with the square takes hours and ends at the time limit of every test; `benchmarks.long_input` measures.
@pytest.mark.parametrize(
    ("unit", "rule", "value"),
    [
        ("a", "max_mean_word_length", 50_000_000),
        ("word and the other ", "max_words", 4 * (50_000_000 // 19)),
        ("#...\n", "hashes_per_word", 10_000_000),
        ("中", "max_mean_word_length", 50_000_000 // 3),
    ],
)
def test_fifty_megabytes_are_judged(unit, rule, value):
    violations = gopher_violations(unit * (50_000_000 // len(unit.encode())))
    assert {each.rule: each.value for each in violations}[rule] == value


GERMAN = "Der Leuchtturm steht auf einer Insel und weist den Schiffen seit hundert Jahren den Weg in den Hafen. "
FRENCH = "Le phare se trouve sur une petite île et il montre aux bateaux le chemin du port depuis cent ans. "
SPANISH = "El faro está en una isla pequeña y desde hace cien años muestra a los barcos el camino del puerto. "
FINNISH = "Majakka seisoo pienellä saarella ja se on ohjannut laivoja satamaan jo yli sadan vuoden ajan, ei kauempaa. "
KOREAN = "등대는 작은 섬에 서 있으며 백 년 동안 배들에게 항구로 가는 길을 알려 주고 있다. "
JAPANESE = "灯台は小さな島に立っていて、百年前から船に港への道を教えています。"


def in_language(text, language):
    texts = batch(text)
    return texts.append_column("language", pa.array([language] * texts.num_rows))


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    ("language", "sentence"), [("de", GERMAN), ("fr", FRENCH), ("es", SPANISH), ("fi", FINNISH), ("ko", KOREAN)]
)
def test_prose_of_other_languages_passes_every_preset(preset, language, sentence):
    stage = HeuristicFilter(preset=preset, overrides={"duplicate_line_characters": None})
    page = "\n".join(f"{sentence * 2}{number}." for number in range(6))
    assert stage(in_language(page, language))[0].num_rows == 1
    assert stage.rules_off("de") == ()


def test_words_of_another_language_are_no_stop_words():
    page = "\n".join(f"{GERMAN * 2}{number}." for number in range(6))
    for language in ("es", "fi"):
        assert "stop_words" in [verdict.rule for verdict in gopher_violations(page, language)]
    assert gopher_violations(page, "de") == []


def test_rules_are_off_where_nothing_is_known_of_a_language_and_the_run_says_so(tmp_path):
    assert HeuristicFilter().rules_off("en") == HeuristicFilter(preset="fineweb").rules_off("de") == ()
    assert HeuristicFilter().rules_off("ko") == ("stop_words",)
    assert HeuristicFilter(preset="refinedweb").rules_off("fi") == ("furniture",)
    assert {"min_words", "stop_words", "running_words"} <= set(HeuristicFilter().rules_off("ja"))
    assert HeuristicFilter(overrides={"stop_words": None}).rules_off("ko") == ()
    documents = publish_documents(tmp_path / "in", [KOREAN * 20, JAPANESE * 20, GERMAN * 20])
    language = run_stage(LanguageFilter(languages=("ko", "ja", "de")), documents, tmp_path / "language")
    made = run_stage(HeuristicFilter(), language, tmp_path / "out")
    assert made.summary["num_kept"] == 3
    off = made.summary["rules_off"]
    assert off["stop_words in ko"] == off["stop_words in ja"] == off["min_words in ja"] == 1
    assert not any(rule.endswith(" de") for rule in off)
    assert any("stop_words in ko 1" in line for line in funnel_lines(funnel([made])))


def test_word_lengths_are_scaled_to_the_language():
    gopher = HeuristicFilter(preset="gopher")
    assert gopher.thresholds()["max_mean_word_length"] == 10
    assert gopher.thresholds("fi")["max_mean_word_length"] > 13 > gopher.thresholds("de")["max_mean_word_length"] > 11
    assert gopher.thresholds("fi")["min_mean_word_length"] > 4
    own = HeuristicFilter(preset="gopher", overrides={"max_mean_word_length": 12.0})
    assert own.thresholds("fi")["max_mean_word_length"] == 12


TEASERS = "\n".join(f"Another story about the {word} of the town is..." for word in WORDS)
TABLE = "\n".join(f"| 20{year} | {year * 7} | {year * 3.5} | = | + | the sum of {year} |" for year in range(10, 30))
DIALOGUE = "\n".join(f"-The {word} is what I have seen with you, my friend of old." for word in WORDS)
CODE = "\n".join([prose(200, 3), *(f"function {word}() {{ return the_{word} }}" for word in WORDS)])


@pytest.mark.parametrize(
    ("page", "rule"),
    [
        (lines(prose(400, 1), TEASERS), "ellipsis_lines"),
        (lines(prose(30, 2), TABLE), "alphabetic_words"),
        (DIALOGUE, "bullet_lines"),
        (CODE, "curly_brackets"),
    ],
)
def test_the_default_keeps_good_pages_that_a_paper_s_rule_removes(page, rule):
    paper = "c4" if rule == "curly_brackets" else "gopher"
    assert rule in [verdict.rule for verdict in HeuristicFilter(preset=paper).violations(page)]
    assert HeuristicFilter().violations(page) == []


@pytest.mark.parametrize(
    ("page", "rule"),
    [
        (TEASERS * 2, "ellipsis_characters"),
        ("\n".join(f"• {word} of the {word}" for word in WORDS * 2), "bullet_items"),
        ("the of " + " ".join(f"{number} {number}" for number in range(60)) + " and that is it.", "letter_words"),
        ("{a}{b}{c} " * 60, "braces_per_word"),
        ("\n".join(f"The {word} of {word}" for word in WORDS * 3), "running_words"),
    ],
)
def test_the_default_removes_pages_of_nothing_else(page, rule):
    assert rule in [verdict.rule for verdict in HeuristicFilter().violations(page)]
