"""`python -m lm.inference --model DIR --tokenizer DIR`: talk with a model.

With `--prompt` one answer is printed; without, each line of standard input is a turn of a conversation. `--raw`
continues the text itself, for a model that was never taught to chat.

With `--votes FILE` a turn `/compare QUESTION` shows two answers and reads which one is better, and `/good` and `/bad`
are votes on the last answer. `alignment_data` reads the file as published preferences (`lm.chat.votes`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lm.chat.template import Message, decode_response, encode_messages, end_id
from lm.errors import run_command
from lm.inference.engine import GenerationConfig, stream
from lm.inference.terminal import visible
from lm.inference.voting import Voting, two_answers
from lm.locations import is_remote, locate
from lm.model import TransformerLM, choose_device, load_model
from lm.storage import MANIFEST, Artifact, open_artifact
from lm.tokenizer import Tokenizer


def main(argv: list[str] | None = None) -> int:
    """Load the model, then answer."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.votes is not None and (arguments.raw or arguments.prompt is not None):
        parser.error("--votes with --raw or --prompt, expected a conversation from standard input")
    voting = None if arguments.votes is None else Voting(arguments.votes)
    tokenizer = Tokenizer.load(arguments.tokenizer)
    model, _ = load_model(_source(arguments.model), choose_device(arguments.device), tokenizer.digest)
    generation = GenerationConfig(
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
    )
    turns = [arguments.prompt] if arguments.prompt is not None else _typed_lines()
    if arguments.raw:
        for turn in turns:
            _print_stream(tokenizer, stream_raw(model.eval(), tokenizer, turn, generation, arguments.seed), turn)
    else:
        converse(model.eval(), tokenizer, turns, generation, arguments.system, arguments.seed, voting)
    return 0


def converse(
    model: TransformerLM,
    tokenizer: Tokenizer,
    turns: Iterable[str],
    generation: GenerationConfig,
    system: str | None = None,
    seed: int = 0,
    voting: Voting | None = None,
) -> list[Message]:
    """Answer each turn with all turns before it in view, print the answers, and give back the conversation.

    The oldest questions are forgotten, with their answers, when the context has no room left for an answer. With
    `voting` its commands are not turns.
    """
    head = [] if system is None else [Message("system", system)]
    messages: list[Message] = []
    room = model.config.context_length - generation.max_new_tokens
    spoken = iter(turns)
    for number, turn in enumerate(spoken):
        if voting is not None and voting.rates(turn, [*head, *messages]):
            continue
        question = turn if voting is None else voting.question_of(turn)
        messages.append(Message("user", turn if question is None else question))
        while len(messages) > 1 and len(encode_messages(tokenizer, head + messages)) > room:
            del messages[:2]  # a question with its answer: what is left begins with a question, as in training
        ids, draw = encode_messages(tokenizer, head + messages), (seed + number) % 2**63
        if voting is not None and question is not None:
            answers = two_answers(model, tokenizer, ids, generation, draw)
            chosen = voting.choose([*head, *messages], answers, spoken)
            messages[-1:] = [] if chosen is None else [messages[-1], chosen]
            continue
        reply = stream(model, ids, generation, stop_ids={end_id(tokenizer)}, seed=draw)
        drawn: list[int] = []
        text = _print_stream(tokenizer, _noted(reply, drawn))
        messages.append(Message("assistant", text, tuple(drawn)))
    return head + messages


def stream_raw(
    model: TransformerLM, tokenizer: Tokenizer, text: str, generation: GenerationConfig, seed: int
) -> Iterator[int]:
    """Return an iterator over the ids that continue a text, until the end-of-text token.

    The text begins a document, so it follows an end-of-text id as documents do in training.
    """
    end_of_text = tokenizer.special_id("<|endoftext|>")
    ids = [end_of_text, *tokenizer.encode(text, allowed_special="none")]
    return stream(model, ids, generation, stop_ids={end_of_text}, seed=seed)


def _print_stream(tokenizer: Tokenizer, token_ids: Iterable[int], before: str = "") -> str:
    """Print the text as it grows; a character is held back until its last byte is there."""
    ids: list[int] = []
    text, shown = "", 0
    print(before, end="")
    for token_id in token_ids:
        ids.append(token_id)
        text = decode_response(tokenizer, ids)
        whole = len(text.rstrip("\ufffd"))
        print(visible(text[shown:whole]), end="", flush=True)
        shown = max(shown, whole)
    print(visible(text[shown:]))
    return text


def _noted(token_ids: Iterable[int], into: list[int]) -> Iterator[int]:
    """Pass the ids on and keep them."""
    for token_id in token_ids:
        into.append(token_id)
        yield token_id


def _typed_lines() -> Iterator[str]:
    interactive = sys.stdin.isatty()
    while True:
        if interactive:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


def _source(path: Path) -> Artifact | Path:
    return open_artifact(path) if is_remote(path) or (path / MANIFEST).exists() else path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lm.inference", description="Chat with a model.")
    parser.add_argument(
        "--model", type=locate, required=True, help="model artifact, or folder with the files of a model"
    )
    parser.add_argument("--tokenizer", type=locate, required=True, help="the model's tokenizer")
    parser.add_argument("--prompt", help="one prompt (default: read turns from standard input)")
    parser.add_argument("--system", help="system prompt")
    parser.add_argument("--votes", type=Path, help="file to which /compare QUESTION, /good and /bad append votes")
    parser.add_argument("--raw", action="store_true", help="continue the text of the prompt, without the chat template")
    parser.add_argument(
        "--max-new-tokens", type=int, default=96, help="maximum length of a reply, in tokens (default: %(default)s)"
    )
    parser.add_argument(
        "--temperature", type=float, default=0.0, help="sampling temperature; 0 is greedy (default: %(default)s)"
    )
    parser.add_argument("--top-k", type=int, help="sample from the k most likely tokens")
    parser.add_argument(
        "--top-p",
        type=float,
        help="nucleus sampling: sample from the fewest most likely tokens with this total probability",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of sampling (default: %(default)s)")
    parser.add_argument(
        "--device", default="auto", help="cpu, cuda, or auto: a GPU if there is one (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    run_command(main)
