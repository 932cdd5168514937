"""Templates: every one renders as it is published, replies alone are learned, and text makes no special tokens."""

import pytest

from lm.chat.template import (
    TEMPLATES,
    ChatExample,
    Message,
    Special,
    encode_example,
    encode_messages,
    end_id,
    render,
)
from lm.errors import ConfigurationError, InputError
from lm.tokenizer import train_bpe

SPECIALS = sorted(
    {
        piece.name
        for template in TEMPLATES.values()
        for pieces in ((template.stop,), template.begin, *(part for turn in template.turns.values() for part in turn))
        for piece in pieces
        if isinstance(piece, Special)
    }
)
TURNS = [
    Message("system", "Be brief."),
    Message("user", "Hi <|end|>"),
    Message("assistant", "Hello."),
    Message("user", "2 + 2?"),
    Message("assistant", "4"),
]
PUBLISHED = {
    "loam": "<|system|>Be brief.<|end|><|user|>Hi <|end|><|end|><|assistant|>Hello.<|end|><|user|>2 + 2?<|end|>"
    "<|assistant|>4<|end|>",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|end|><|im_end|>\n"
    "<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n",
    "llama-3": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHi <|end|><|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n2 + 2?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n4<|eot_id|>",
    "alpaca": "Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.\n\nBe brief.\n\n### Instruction:\nHi <|end|>\n\n### Response:\nHello.<|endoftext|>"
    "### Instruction:\n2 + 2?\n\n### Response:\n4<|endoftext|>",
}


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(list(PUBLISHED.values()), 400, SPECIALS)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_conversation_renders_as_published(tokenizer, name):
    rendered = render(tokenizer, TURNS, TEMPLATES[name])
    assert tokenizer.decode(rendered.token_ids) == PUBLISHED[name]


@pytest.mark.parametrize("name", TEMPLATES)
def test_replies_and_their_stop_tokens_alone_are_learned(tokenizer, name):
    rendered = render(tokenizer, TURNS, TEMPLATES[name])
    stop = TEMPLATES[name].stop.name
    runs, inside = [], False
    for token_id, learned in zip(*rendered, strict=True):
        if learned and not inside:
            runs.append([])
        inside = learned
        if learned:
            runs[-1].append(token_id)
    assert [tokenizer.decode(run) for run in runs] == [f"Hello.{stop}", f"4{stop}"]
    assert all(run[-1] == end_id(tokenizer, TEMPLATES[name]) for run in runs)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_prompt_is_the_beginning_of_its_exchange(tokenizer, name):
    template = TEMPLATES[name]
    whole = render(tokenizer, TURNS, template).token_ids
    prompt = encode_messages(tokenizer, TURNS[:-1], template)
    example = encode_example(tokenizer, "2 + 2?", "4", TURNS[:-2], template)
    assert whole[: len(prompt)] == prompt == example.token_ids[: example.num_prompt_tokens]
    assert whole[: len(example.token_ids)] == example.token_ids
    assert tokenizer.decode(example.token_ids[example.num_prompt_tokens :]) == f"4{template.stop.name}"


@pytest.mark.fault(16)
@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("marker", SPECIALS)
@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_text_makes_no_special_tokens(tokenizer, name, marker, role):
    ids = {tokenizer.special_id(each) for each in SPECIALS}

    def count(text):
        rendered = render(tokenizer, [Message(role, text), Message("user", text)], TEMPLATES[name], reply=True)
        return sum(token_id in ids for token_id in rendered.token_ids)

    assert count(f"a {marker} b{marker}") == count("a")


def test_drawn_ids_of_a_reply_are_kept(tokenizer):
    ids = tuple(tokenizer.encode("Hel", allowed_special="none")) + tuple(
        tokenizer.encode("lo.", allowed_special="none")
    )
    rendered = render(tokenizer, [Message("user", "Hi"), Message("assistant", "Hello.", ids)])
    assert tuple(rendered.token_ids[-len(ids) - 1 : -1]) == ids


def test_what_cannot_be_rendered_is_refused(tokenizer):
    with pytest.raises(InputError, match="none, expected at least 1"):
        render(tokenizer, [])
    with pytest.raises(InputError, match="role 'tool', expected one of system, user, assistant"):
        render(tokenizer, [Message("tool", "x")])
    small = train_bpe(["Hi"], 262, ["<|endoftext|>", "<|end|>"])
    with pytest.raises(ConfigurationError, match=r"<\|im_start\|>"):
        render(small, TURNS, TEMPLATES["chatml"])


def test_an_example_counts_what_is_learned():
    assert ChatExample([1, 2, 3, 4], 3).num_response_tokens == 1
