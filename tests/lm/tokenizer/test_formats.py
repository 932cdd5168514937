"""Files of others: ids survive the round trip, and what does not fit is named."""

import json
import random
import re

import pyarrow as pa
import pytest

from lm.errors import InputError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe
from lm.tokenizer.formats import (
    load_gpt2,
    load_huggingface,
    load_tiktoken,
    merges_of_ranks,
    save_gpt2,
    save_huggingface,
    save_tiktoken,
)
from lm.tokenizer.patterns import OTHER_SPELLINGS, PATTERNS

TEXT = "The river's 1799 boats:  é 中 😀\n\n<|end|>"


def assert_same_ids(loaded, tokenizer):
    assert loaded.vocab == tokenizer.vocab
    for allowed in ("none", "all"):
        assert loaded.encode(TEXT, allowed) == tokenizer.encode(TEXT, allowed)


def test_gpt2_files(tokenizer, tmp_path):
    save_gpt2(tokenizer, tmp_path)
    assert_same_ids(
        load_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt", SPECIAL_TOKENS, tokenizer.pattern), tokenizer
    )


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_huggingface_file(pattern, tokenizer, tmp_path):
    saved = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)
    save_huggingface(saved, tmp_path / "tokenizer.json")
    loaded = load_huggingface(tmp_path / "tokenizer.json")
    assert loaded.pattern == pattern
    assert loaded.digest == saved.digest
    assert_same_ids(loaded, saved)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_tokenizers_loads_what_we_save(pattern, tokenizer, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    saved = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)
    save_huggingface(saved, tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT).ids == saved.encode(TEXT, "all")
    assert theirs.decode(theirs.encode(TEXT).ids, skip_special_tokens=False) == TEXT


def test_transformers_loads_what_we_save(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    save_huggingface(tokenizer, tmp_path / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT) == tokenizer.encode(TEXT, "all")


def test_tiktoken_ranks(tokenizer, tmp_path):
    save_tiktoken(tokenizer, tmp_path / "ranks")
    specials = {name: tokenizer.special_id(name) for name in SPECIAL_TOKENS}
    loaded = load_tiktoken(tmp_path / "ranks", "digits", specials)
    assert loaded.merges == tokenizer.merges
    assert_same_ids(loaded, tokenizer)


def test_the_merges_of_gpt2_follow_from_its_ranks(gpt2):
    ranks = {token: i for i, token in gpt2.vocab.items() if i != gpt2.end_of_text_id}
    assert merges_of_ranks(ranks) == gpt2.merges


@pytest.mark.parametrize("expression", sorted(OTHER_SPELLINGS))
def test_other_spellings_have_the_same_matches(expression):
    regex = pytest.importorskip("regex")
    from tests.lm.tokenizer.pretokenizing.test_pretokenize import awkward_texts

    for text in awkward_texts(9, 3_000):
        assert regex.findall(expression, text) == regex.findall(PATTERNS[OTHER_SPELLINGS[expression]], text)


WHOLE = ["boatsXY", "Ġgreen-hills", "averyveryverylongpre", "y" * 120, "ĠĠĠ", "Ċ", "中"]
PIECES = ["boatsXY", " boatsXY", " green-hills", "averyveryverylongpre", "y" * 120, " " * 4, "    x", "\n", "\n\n"]
PIECES += [
    "river",
    "rivers",
    "the river",
    "中文",
    "中",
    "é",
    "12",
    "1799",
    "<|end|>",
    "<tool>",
    "<tool>s",
    "<to",
    " ",
    "'ll",
    ".",
]


@pytest.fixture
def file(tokenizer, tmp_path):
    """A function that saves a tokenizer of a pattern, changes the file by a function, and returns its path."""

    def change(pattern, edit):
        path = tmp_path / "tokenizer.json"
        save_huggingface(Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern), path)
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))
        return path

    return change


def add_tokens(content, *names, **flags):
    """Add tokens with the ids that `tokenizers` gives them: after as many as the vocabulary has, in order."""
    vocab, added = content["model"]["vocab"], content["added_tokens"]
    for name in names:
        token_id = vocab.get(name, len(vocab) + sum(token["content"] not in vocab for token in added))
        plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        added.append({"id": token_id, "content": name, **plain, **flags})


def ignore_merges(content):
    content["model"]["ignore_merges"] = True
    for text in WHOLE:
        if all(character in "ĠĊ" or character.isascii() for character in text):
            content["model"]["vocab"].setdefault(text, max(content["model"]["vocab"].values()) + 90)


def template(*before):
    pieces = [{"SpecialToken": {"id": name, "type_id": 0}} for name in before] + [
        {"Sequence": {"id": "A", "type_id": 0}}
    ]
    tokens = {name: {"id": name, "ids": [1], "tokens": [name]} for name in before}
    return {"type": "TemplateProcessing", "single": pieces, "pair": pieces, "special_tokens": tokens}


BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
HONOURED = {
    "ignore_merges": ignore_merges,
    "added tokens": lambda content: add_tokens(content, "<tool>", "river", "  ", "    ", "中文"),
    "added tokens that overlap": lambda content: add_tokens(content, "riv", "river", "rivers", "s", "y", "🦆"),
    "added tokens before normalization": lambda content: add_tokens(content, "<tool>", "ver ", normalized=False),
    "added tokens of the vocabulary": lambda content: add_tokens(content, "a", "th", "the"),
    "both": lambda content: (ignore_merges(content), add_tokens(content, "<tool>", "oats")),
    "offsets only": lambda content: content.update(post_processor=BYTE_LEVEL),
    "nothing added": lambda content: content.update(
        post_processor={"type": "Sequence", "processors": [BYTE_LEVEL, template()]}
    ),
}


def texts_of_pieces(seed, number=60):
    draw = random.Random(seed)
    return ["".join(draw.choices(PIECES, k=draw.randint(1, 12))) for _ in range(number)]


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("setting", HONOURED)
def test_what_the_file_says_is_honoured(setting, pattern, file):
    """Every way of encoding gives the ids of `tokenizers`, and so do the files that are written of it."""
    tokenizers = pytest.importorskip("tokenizers")
    path = file(pattern, HONOURED[setting])
    theirs, ours = tokenizers.Tokenizer.from_file(str(path)), load_huggingface(path)
    texts = texts_of_pieces(setting)
    expected = [theirs.encode(text).ids for text in texts]
    assert [ours.encode(text, "all") for text in texts] == expected
    assert [list(ours.encode_iterable(text, "all")) for text in texts[:20]] == expected[:20]
    plain = [(text, ids) for text, ids in zip(texts, expected, strict=True) if "<|end|>" not in text]
    assert len(plain) > 10
    assert [ids.tolist() for ids in ours.encode_batch([text for text, _ in plain])] == [ids for _, ids in plain]
    documents = ours.encode_documents(pa.array([text for text, _ in plain]))
    assert documents.to_pylist() == [ids for _, ids in plain]
    assert [ours.decode(ids) for ids in expected] == texts

    save_huggingface(ours, path)
    assert load_huggingface(path).digest == ours.digest
    again = tokenizers.Tokenizer.from_file(str(path))
    assert [again.encode(text).ids for text in texts] == expected
    ours.save(path.parent)
    assert [Tokenizer.load(path.parent).encode(text, "all") for text in texts] == expected


BEGINS = template("<|endoftext|>")
REFUSED = {
    r"a normalizer \(NFC\), expected none": lambda c: c.update(normalizer={"type": "NFC"}),
    "pre_tokenizer ends in": lambda c: c.update(pre_tokenizer={"type": "Whitespace"}),
    "pre_tokenizer is null": lambda c: c.update(pre_tokenizer=None),
    "without add_prefix_space": lambda c: c.update(pre_tokenizer={"type": "ByteLevel", "add_prefix_space": True}),
    "model.type is 'Unigram', expected 'BPE'": lambda c: c.update(model={"type": "Unigram"}),
    "model.dropout is 0.1": lambda c: c["model"].update(dropout=0.1),
    "not a tokenizer of `tokenizers`": lambda c: c.update(added_tokens=None),
    "truncation is set": lambda c: c.update(truncation={"max_length": 3, "strategy": "LongestFirst", "stride": 0}),
    "padding is set": lambda c: c.update(padding={"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 0}),
    r"post_processor adds <\|endoftext\|> to every text": lambda c: c.update(post_processor=BEGINS),
    r"adds <\|end\|>, <\|user\|> to": lambda c: c.update(
        post_processor={"type": "RobertaProcessing", "sep": ["<|user|>", 5], "cls": ["<|end|>", 6]}
    ),
    "post_processor is a Novel": lambda c: c.update(post_processor={"type": "Novel"}),
    "added token '<m>' has lstrip": lambda c: add_tokens(c, "<m>", lstrip=True),
    "added token '<m>' has rstrip": lambda c: add_tokens(c, "<m>", rstrip=True, special=True),
    "added token '<m>' has single_word": lambda c: add_tokens(c, "<m>", single_word=True),
    "added token '<m>' has the id 5000, expected": lambda c: add_tokens(c, "<m>", id=5000),
    "added token '<n>' has the id": lambda c: (
        c["model"]["vocab"].update({"<m>": 5000}),
        add_tokens(c, "<n>", id=5001),
    ),
    r"'<m>' has the id \d+, expected a unique number": lambda c: (
        c["model"]["vocab"].pop("".join(c["model"]["merges"].pop())),
        add_tokens(c, "<m>"),
    ),
    "added tokens '.*' and 'm><' overlap": lambda c: (add_tokens(c, "<m>", normalized=False), add_tokens(c, "m><")),
    "has no token for the byte": lambda c: add_tokens(c, "ä"),  # `tokenizers` takes it for the byte written so
    "has the ids": lambda c: add_tokens(c, " "),
    r"merge 3: .* is merge 0 already": lambda c: c["model"]["merges"].insert(3, c["model"]["merges"][0]),
    "can be the token of ordinary text": lambda c: add_tokens(c, "".join(c["model"]["merges"][1]), special=True),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_loam_does_not_do_is_refused_by_name(message, file):
    path = file("llama3", REFUSED[message])
    with pytest.raises(InputError, match=message) as refusal:
        load_huggingface(path)
    assert "tokenizer.json: " in str(refusal.value)


def test_tokens_added_to_every_text_can_be_left_out(file):
    """As the files of Llama 3 are read."""
    tokenizers = pytest.importorskip("tokenizers")

    def edit(content):
        ignore_merges(content)
        content["post_processor"] = {"type": "Sequence", "processors": [BYTE_LEVEL, BEGINS]}

    path = file("llama3", edit)
    theirs, ours = tokenizers.Tokenizer.from_file(str(path)), load_huggingface(path, without_post_processing=True)
    for text in texts_of_pieces(7):
        assert ours.encode(text, "all") == theirs.encode(text, add_special_tokens=False).ids


def test_what_a_format_cannot_hold_is_refused(tokenizer, tmp_path):
    vocab = {**tokenizer.vocab, tokenizer.vocab_size: b"boatsXY"}
    whole = Tokenizer(vocab, tokenizer.merges, SPECIAL_TOKENS, ignore_merges=True)
    added = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, added_tokens=["<tool>"])
    for save, target in ((save_gpt2, tmp_path), (save_tiktoken, tmp_path / "ranks")):
        for held, name in ((whole, "ignore_merges"), (added, "the added token '<tool>'")):
            with pytest.raises(InputError, match=f"has {name}, which .* cannot hold"):
                save(held, target)
    with pytest.raises(InputError, match="cannot be derived from its ids"):
        save_tiktoken(Tokenizer(vocab, tokenizer.merges, SPECIAL_TOKENS), tmp_path / "ranks")


def test_ranks_that_no_merges_make_are_refused(tmp_path):
    tokenizer = train_bpe(["abab"], 258, [])
    save_tiktoken(tokenizer, tmp_path / "ranks")
    lines = (tmp_path / "ranks").read_text().splitlines()
    (tmp_path / "ranks").write_text("\n".join([*lines, "eHl6 300"]))
    with pytest.raises(InputError, match="b'xyz' of rank 300 is not made of two tokens"):
        load_tiktoken(tmp_path / "ranks", "gpt2", {})
    (tmp_path / "ranks").write_text("\n".join([*lines, "!! 300"]))
    with pytest.raises(InputError, match=r"line 259 is '!! 300', expected base64 and a rank"):
        load_tiktoken(tmp_path / "ranks", "gpt2", {})
    for again, found in ((f"{lines[7].split()[0]} 300", repr(bytes([7]))), ("eHl6 7", "7")):
        (tmp_path / "ranks").write_text("\n".join([*lines, again]))
        with pytest.raises(InputError, match=rf"line 259 has {re.escape(found)}, which line 8 has already"):
            load_tiktoken(tmp_path / "ranks", "gpt2", {})
    (tmp_path / "ranks").write_text("\n".join(lines))
    with pytest.raises(InputError, match=r"'<\|end\|>' has the id 257, which is that of b'abab'"):
        load_tiktoken(tmp_path / "ranks", "gpt2", {"<|end|>": 257})
