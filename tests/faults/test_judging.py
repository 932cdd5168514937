"""Faults of the judging stages: hostile text, order, damaged models, threads."""

import functools
import hashlib
import math
import time

import numpy as np
import pyarrow as pa
import pytest

from lm.errors import InputError, IntegrityError
from pipelines.classifiers.fasttext_training import ClassifierConfig, load_classifier, predict_scores, train_classifier
from pipelines.filters import line_corrections
from pipelines.filters.harmful import sentence_windows
from pipelines.filters.heuristics import PRESETS, HeuristicFilter
from pipelines.filters.pii import MASKS, PiiMasker, mask_all

ATTACKS = [
    "a", "a@", "a.", "a@a.", "@a.", "a-", "a@a-", "1", "1-", "1 ", "1.", "(", "()", "(1)", "+", "+1", "+1-", ":", "1:",
    "::a", "1.1.1.", "DE89", "DE89 ", "DE893704 ", "A ", "4", "4 ", "4111 ", "4111-", "3782 822463 ", "283 ", "283-",
    "0 ", "01 ", "+49 ", "(0) ", "1/", "call 1", "tel 0 1 2 3 4 5 6 7 8, ", "call 030 12 34 ", "\u2013", "1\u2013",
    "1\u00a0", "a@b.c-", "call 1-2-3-4-5-6-7-8-9 ", "+1 2 3 4 5 6 7 8 9 ", "de89 3704 0044 0532 ", "Versions 1.2.3.4, ",
    "fe80::1 ", "a (at) ", "a(at)b.",
    "[", "[1", "version ", ".", "!", '"', '."', ". ", "..", "\n", ".\n", " ", "…", "[edit", "a b ", "|||",
    "|||EMAIL_ADDRESS",
]  # fmt: skip
SCANNERS = {
    **{kind: functools.partial(mask_all, kinds=(kind,)) for kind in MASKS},
    "sentence_windows": sentence_windows,
    "c4_lines": line_corrections.correct_c4,
    "fineweb_lines": line_corrections.correct_c4_for_fineweb,
    "refinedweb_lines": line_corrections.correct_refinedweb,
}


def seconds(function, text, repeats=1):
    """The least of the timings: what the work costs without what else the machine does."""
    best = math.inf
    for _ in range(repeats):
        start = time.process_time()
        function(text)
        best = min(best, time.process_time() - start)
    return best


def grown(unit, size):
    return (unit * (size // len(unit) + 1))[:size]


@pytest.mark.fault(11)
@pytest.mark.parametrize("name", SCANNERS)
def test_attack_strings_take_linear_time(name):
    scan = SCANNERS[name]
    for unit in ATTACKS:
        if seconds(scan, grown(unit, 500_000)) < 0.15:  # a search of the rest at every 40th character takes twice that
            continue
        few, many = grown(unit, 250_000), grown(unit, 2_000_000)  # eight times as much
        short, long = seconds(scan, few, repeats=3), seconds(scan, many)
        if 16 * short <= long < 8:  # perhaps by what else the machine does
            short, long = seconds(scan, few, repeats=5), seconds(scan, many, repeats=3)
        # A linear search takes 8 times as long, a quadratic one 64 times.
        assert long < 24 * short, f"{name} on {unit!r}: {short:.4f} s, eight times as much {long:.4f} s"
        assert long < 8, f"{name} on {unit!r}: {long:.3f} s for 2 MB"  # four times what is asked, for slow machines


@pytest.mark.fault(11)
def test_mixed_attack_of_a_megabyte_takes_about_a_second():
    text = "".join(grown(unit, 20_000) for unit in ATTACKS)
    assert len(text) > 900_000
    for name, scan in SCANNERS.items():
        assert seconds(scan, text, repeats=3) < 2, name  # twice what is asked, for slow machines


def documents(texts):
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    return pa.RecordBatch.from_pylist([{"doc_id": str(i), "url": "u", "text": t} for i, t in enumerate(texts)], schema)


@pytest.mark.fault(12)
def test_a_document_gets_the_same_masks_at_every_position():
    texts = [f"Mail u{i}@example.com or call 283-182-{3000 + i} from 192.0.2.{i}." for i in range(20)]
    stage = PiiMasker()
    forward = stage(documents(texts))[0].column("text").to_pylist()
    backward = stage(documents(texts[::-1]))[0].column("text").to_pylist()
    assert forward == backward[::-1] == [mask_all(text)[0] for text in texts]
    assert set(forward) == {"Mail |||EMAIL_ADDRESS||| or call |||PHONE_NUMBER||| from |||IP_ADDRESS|||."}


@pytest.mark.fault(12)
def test_a_document_gets_the_same_verdict_at_every_position():
    texts = ["the cat of it. " * 20, "#" * 40, "Sign in\n" * 5 + "The people of it went. " * 30]
    for preset in PRESETS:
        stage = HeuristicFilter(preset=preset)
        both = stage(documents(texts * 2))[1].to_pylist()
        half = len(both) // 2
        fields = ("rule", "value", "threshold")
        assert [[row[f] for f in fields] for row in both[:half]] == [[row[f] for f in fields] for row in both[half:]]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    rows = [(f"good calm {i % 17} {i}", True) for i in range(100)] + [
        (f"bad loud {i % 17} {i}", False) for i in range(100)
    ]
    summary = train_classifier(rows, ClassifierConfig(num_buckets=500), folder)
    return folder / "model.bin", summary["model_sha256"]


@pytest.mark.fault(24)
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.5, 0.999])
def test_a_truncated_model_is_refused_before_it_is_loaded_even_with_its_own_digest(model, tmp_path, keep):
    whole = model[0].read_bytes()
    path = tmp_path / "cut.bin"
    path.write_bytes(whole[: int(len(whole) * keep)])
    for digest in (model[1], hashlib.sha256(path.read_bytes()).hexdigest()):
        with pytest.raises(InputError, match=r"cut\.bin: .* expected"):
            load_classifier(str(path), digest)


@pytest.mark.fault(22)
@pytest.mark.fault(24)
def test_one_flipped_bit_in_a_model_is_refused_with_both_digests(model, tmp_path):
    damaged = bytearray(model[0].read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path = tmp_path / "flipped.bin"
    path.write_bytes(damaged)
    with pytest.raises(IntegrityError, match=f"flipped.bin: sha256 is [0-9a-f]{{64}}, expected {model[1]}"):
        load_classifier(str(path), model[1])


@pytest.mark.fault(24)
def test_a_web_page_in_the_place_of_a_model_is_refused_even_with_its_own_digest(tmp_path):
    page = b"<!DOCTYPE html><title>404 Not Found</title>"
    path = tmp_path / "lid.176.bin"
    path.write_bytes(page)
    with pytest.raises(InputError, match="expected a fastText model"):
        load_classifier(str(path), hashlib.sha256(page).hexdigest())
    with pytest.raises(InputError, match="no such file"):
        load_classifier(str(tmp_path / "none.bin"), "0" * 64)


@pytest.mark.fault(25)
@pytest.mark.parametrize("num_threads", [1, 2, 5, 10])
def test_weights_are_finite_and_quality_equal_with_any_number_of_threads(tmp_path, num_threads):
    rubbish = [np.full(40_000, math.nan, np.float32) for _ in range(50)]
    del rubbish
    rows = [(f"good calm {i % 37} time", True) for i in range(400)] + [
        (f"bad loud {i % 41} time", False) for i in range(400)
    ]
    rows += [(f"good loud {i} a", i % 2 == 0) for i in range(100)]
    config = ClassifierConfig(num_threads=num_threads, num_buckets=5_000)
    summary = train_classifier(rows, config, tmp_path)
    trained = load_classifier(str(tmp_path / "model.bin"), summary["model_sha256"])
    assert np.isfinite(trained.get_input_matrix()).all()
    assert np.isfinite(trained.get_output_matrix()).all()
    good, bad = predict_scores(trained, ["good calm 3 time", "bad loud 4 time"])
    assert good > 0.9
    assert bad < 0.1
