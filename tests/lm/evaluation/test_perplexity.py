import itertools
import math

import pytest
import torch

from lm.errors import ConfigurationError, InputError
from lm.evaluation.perplexity import Score, evaluate_perplexity, score_tokens, text_bytes
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.token_stream import TokenStream
from tests.lm.training.corpora import END_OF_TEXT, config_of, make_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


@pytest.fixture(scope="module")
def stream(shards):
    return TokenStream(TokenShards.open(shards, "validation"))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return TransformerLM(preset("test", vocab_size=64))


@pytest.mark.parametrize(("stride", "batch_size"), [(1, 16), (13, 3), (16, 1), (32, 4)])
def test_every_token_is_scored_once_with_its_context(model, stream, stride, batch_size):
    ids = torch.tensor([END_OF_TEXT, *stream.read(0, len(stream)).tolist()])
    expected, scored = 0.0, 0
    while scored < len(stream):
        end = min(scored + (stride if scored else 32), len(stream))
        start = max(0, end - 32)
        with torch.no_grad():
            log_p = model(ids[None, start:end]).log_softmax(-1)[0]
        expected -= sum(log_p[i - start, ids[i + 1]].item() for i in range(scored, end))
        scored = end
    assert score_tokens(model, stream, stride=stride, batch_size=batch_size) == pytest.approx(expected, rel=1e-5)


def test_a_short_text_is_one_window(model, stream):
    ids = torch.tensor([END_OF_TEXT, *stream.read(0, 7).tolist()])
    with torch.no_grad():
        log_p = model(ids[None, :-1]).log_softmax(-1)[0]
    expected = -log_p.gather(-1, ids[1:, None]).sum().item()
    assert score_tokens(model, stream, max_tokens=7) == pytest.approx(expected, rel=1e-5)


def test_bits_per_byte_is_nats_by_ln2_by_bytes(model, shards, stream):
    score = evaluate_perplexity(model, shards)
    assert score.num_tokens == len(stream) and score.text_bytes == shards.summary["text_bytes"]["validation"]
    assert score.bits_per_byte == score.nats / math.log(2) / score.text_bytes
    # Untrained: about ln 64 a token.
    assert score.loss == pytest.approx(math.log(64), rel=0.1)
    assert Score(nats=math.log(2) * 8, num_tokens=4, text_bytes=2).bits_per_byte == pytest.approx(4)


def test_missing_bytes_and_impossible_strides_are_named(model, shards, stream):
    with pytest.raises(InputError, match="no text_bytes of split 'test'"):
        text_bytes(shards, "test")
    with pytest.raises(ConfigurationError, match="stride: 33, expected 1 to context_length = 32"):
        score_tokens(model, stream, stride=33)


@pytest.mark.parametrize(("stride", "batch_size"), [(0, 16), (32, 2), (7, 1)])
def test_a_model_of_separate_documents_is_scored_on_each_alone(shards, stream, stride, batch_size):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=64, position="learned", separate_documents=True))
    begins = stream.document_begins.tolist()
    expected = 0.0
    for begin, end in itertools.pairwise(begins):
        alone = torch.tensor([END_OF_TEXT, *stream.read(begin, end - begin).tolist()])
        scored, size = 0, end - begin
        while scored < size:
            stop = min(scored + (stride or 16 if scored else 32), size)
            start = max(0, stop - 32)
            with torch.no_grad():
                log_p = model(alone[None, start:stop]).log_softmax(-1)[0]
            expected -= sum(log_p[i - start, alone[i + 1]].item() for i in range(scored, stop))
            scored = stop
    found = score_tokens(model, stream, stride=stride, batch_size=batch_size)
    assert found == pytest.approx(expected, rel=1e-5)
    cut = score_tokens(model, stream, max_tokens=begins[1] + 3)
    assert cut == pytest.approx(score_tokens(model, stream, max_tokens=begins[1]) + _first(model, stream, begins[1], 3))


def _first(model, stream, begin, number):
    """Nats of the first tokens of a document."""
    ids = torch.tensor([END_OF_TEXT, *stream.read(begin, number).tolist()])
    with torch.no_grad():
        return -model(ids[None, :-1]).log_softmax(-1)[0].gather(-1, ids[1:, None]).sum().item()


@pytest.mark.parametrize(
    ("changes", "apart"), [({}, False), ({"packing": "padded"}, True), ({"document_masks": True}, True)]
)
def test_a_run_notes_whether_documents_were_apart(changes, apart):
    assert config_of(**changes).model_config(64).separate_documents is apart
    with pytest.raises(ConfigurationError, match="separate_documents: follows from document_masks and packing"):
        config_of(model={"separate_documents": True})
