"""Language identification against sentences of known language, and the filter's verdicts."""

import gzip
import random

import pyarrow as pa
import pycld2
import pytest

from lm.configuration import from_mapping
from lm.errors import ConfigurationError, IntegrityError
from pipelines.classifiers.fasttext_training import ClassifierConfig, train_classifier
from pipelines.filters.language import SAMPLE_CHARACTERS, LanguageFilter, identify_language

ENGLISH = "The lighthouse keeper walked down to the harbour every morning to look at the boats that had come in."
GERMAN = "Der Leuchtturmwärter ging jeden Morgen zum Hafen hinunter, um nach den Booten zu sehen."
FRENCH = "Le gardien du phare descendait chaque matin au port pour regarder les bateaux qui étaient arrivés."


def batch(*texts):
    rows = [{"doc_id": f"id-{i}", "url": f"https://example.org/{i}", "text": text} for i, text in enumerate(texts)]
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    return pa.RecordBatch.from_pylist(rows, schema=schema)


@pytest.mark.parametrize(("text", "code"), [(ENGLISH, "en"), (GERMAN, "de"), (FRENCH, "fr")])
def test_identifies_plain_sentences_with_certainty(text, code):
    found, score = identify_language(text)
    assert found == code
    assert 0.9 < score <= 1


@pytest.mark.parametrize("text", ["", "   \n", "12 345 -- 6!", "\x00\x01"])
def test_text_without_letters_is_undetermined(text):
    assert identify_language(text) == ("und", 0.0)


def test_the_score_is_the_share_of_the_text():
    code, score = identify_language(f"{GERMAN} {GERMAN} {ENGLISH}")
    assert code == "de"
    assert 0.5 < score < 0.8


def test_a_guess_stays_below_the_threshold():
    code, score = identify_language("hotel taxi radio")
    assert code != "und"
    assert 0 < score <= 0.5


@pytest.mark.parametrize(
    "odd", ["\x00\x1b\x7f\x85", "\ufdd0\uffff", "\U0001ffff\U0010ffff", "\ud800", "\u202e\u200b", "😀"]
)
def test_odd_code_points_are_read_over(odd):
    assert identify_language(f"{odd}{ENGLISH}{odd} {ENGLISH}")[0] == "en"
    assert identify_language(odd) == ("und", 0.0)


@pytest.mark.parametrize(
    ("text", "code"),
    [("שלום לכולם, מה שלומכם היום בבוקר היפה הזה?", "he"),
     ("我們今天下午要去學校看書，然後回家。", "zh"),
     ("Пошто је киша престала, сви су изашли у двориште.", "sr")],
)  # fmt: skip
def test_codes_are_those_of_today(text, code):
    assert identify_language(text)[0] == code


SPANISH = "El guardián del faro bajaba cada mañana al puerto para mirar los barcos que habían llegado."
NAMES = (
    "Fender Gibson Ibanez Squier Epiphone Rickenbacker Gretsch",
    "Kyle Busch 34 Joey Logano 22 Chase Elliott 9 Denny Hamlin 11 Ryan Blaney",
    "Herediano Saprissa Cartaginés Guanacasteca Sporting 12 3 1",
)


@pytest.mark.parametrize(("text", "code"), [(GERMAN, "de"), (SPANISH, "es")])
@pytest.mark.parametrize("names", NAMES)
def test_names_among_plain_sentences_do_not_make_a_guess(text, code, names):
    page = " ".join([text] * 4 + [names] * 3)
    assert not pycld2.detect(page)[0]  # CLD2 itself calls it unreliable
    found, score = identify_language(page)
    assert found == code
    assert score > 0.65


@pytest.mark.parametrize(
    ("frame", "text", "code"), [(GERMAN, ENGLISH, "en"), (ENGLISH, GERMAN, "de"), (FRENCH, SPANISH, "es")]
)
@pytest.mark.parametrize("num_frames", [2, 6, 12])
def test_a_frame_in_another_language_has_its_weight_and_no_more(frame, text, code, num_frames):
    frame, body = (frame + " ") * num_frames, (text + " ") * 60
    for page in (frame + body + frame, frame * 2 + body, body + frame * 2):
        found, score = identify_language(page)
        assert found == code
        assert abs(score - len(body) / len(page)) < 0.1


def test_a_menu_in_english_does_not_make_a_page_english():
    menu = "Home About us Contact Privacy Login Search the site for more products and services "
    assert identify_language(menu * 3 + (GERMAN + " ") * 60)[0] == "de"


def test_reads_a_bounded_part_of_a_long_text():
    short, long = (ENGLISH + " ") * 20, (ENGLISH + " ") * 2_000
    assert identify_language(long)[0] == identify_language(short)[0] == "en"
    assert len(short) > SAMPLE_CHARACTERS


def test_accuracy_on_real_sentences(shared_data):
    with gzip.open(shared_data("language/sentences.tsv.gz"), "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t", 1) for line in lines]
    chooser = random.Random(0)
    european = chooser.sample([row for row in rows if row[0] in ("en", "de", "fr", "es", "it", "pt", "nl")], 1_500)
    everywhere = chooser.sample([row for row in rows if row[0] not in ("nb", "ms", "bs")], 1_500)
    for sample, least in ((european, 0.94), (everywhere, 0.95)):
        right = sum(identify_language(text)[0] == code for code, text in sample)
        assert right / len(sample) > least


def test_english_is_kept_and_other_languages_are_not(shared_data):
    with gzip.open(shared_data("language/sentences.tsv.gz"), "rt", encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t", 1) for line in lines]
    texts = {}
    for code, sentence in rows:
        parts = texts.setdefault(code, [""])
        parts[-1] = f"{parts[-1]} {sentence}"
        if len(parts[-1]) >= 500:
            parts.append("")
    english, others = texts.pop("en")[:-1], [text for parts in texts.values() for text in parts[:20]]
    assert LanguageFilter()(batch(*english))[1].num_rows == 0
    assert LanguageFilter()(batch(*others))[0].num_rows <= 0.005 * len(others)


def test_filter_keeps_the_wanted_language_and_records_both_columns():
    kept, removed = LanguageFilter(languages=("en", "fr"))(batch(ENGLISH, GERMAN, FRENCH, ""))
    assert kept.column("language").to_pylist() == ["en", "fr"]
    assert min(kept.column("language_score").to_pylist()) >= 0.65
    assert removed.column("rule").to_pylist() == ["language_de", "language_und"]
    assert set(removed.column("stage").to_pylist()) == {"language"}


def test_an_uncertain_text_leaves_by_its_score():
    text = "hotel taxi radio " + GERMAN
    code, score = identify_language(text)
    threshold = (1 + score) / 2
    kept, removed = LanguageFilter(languages=(code,), threshold=threshold)(batch(text))
    assert kept.num_rows == 0
    row = removed.to_pylist()[0]
    assert row["rule"] == "language_score"
    assert (row["value"], row["threshold"]) == (pytest.approx(score), threshold)


def test_a_fasttext_model_takes_the_place_of_the_default(tmp_path):
    examples = [(f"{word} alpha {i}", True) for i in range(200) for word in ("the", "and")]
    examples += [(f"{word} beta {i}", False) for i in range(200) for word in ("der", "und")]
    digest = train_classifier(examples, ClassifierConfig(), tmp_path)["model_sha256"]
    path = str(tmp_path / "model.bin")
    stage = LanguageFilter(languages=("positive",), fasttext_model_path=path, fasttext_sha256=digest)
    kept, removed = stage(batch("the and the", "der und der"))
    assert kept.column("language").to_pylist() == ["positive"]
    assert removed.column("rule").to_pylist() == ["language_negative"]
    with pytest.raises(IntegrityError, match="expected 0000"):
        LanguageFilter(fasttext_model_path=path, fasttext_sha256="0" * 64)(batch("the"))


def test_configuration_mistakes_are_named():
    with pytest.raises(ConfigurationError, match="fasttext_sha256"):
        LanguageFilter(fasttext_model_path="lid.176.bin")
    with pytest.raises(ConfigurationError, match="threshold"):
        LanguageFilter(threshold=65)
    with pytest.raises(ConfigurationError, match="did you mean 'threshold'"):
        from_mapping(LanguageFilter, {"treshold": 0.5})
