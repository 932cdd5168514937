"""Alignment: rollouts against transformers' `generate`, the parts of a GRPO step, and published data without a loss.

The models are of the demo's shape with random weights: responses have all of their tokens unless the benchmark lets
them end. `python -m benchmarks.demo` has the figures of the demo's own alignment: accuracy, tax, length and KL.
"""

from __future__ import annotations

import gzip
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from lm.alignment.config import DPOConfig, GRPOConfig, SFTConfig
from lm.alignment.data import publish_alignment_data
from lm.alignment.dpo import encode_pairs, train_dpo
from lm.alignment.grpo import accumulate_policy_gradients
from lm.alignment.lengths import LengthLimit
from lm.alignment.policy import Tuner
from lm.alignment.rollouts import roll_out
from lm.alignment.sft import encode_instructions, train_sft
from lm.chat.records import Instruction, Preference, Problem, read_records
from lm.errors import run_command
from lm.inference.engine import GenerationConfig, generate
from lm.model import TransformerLM, preset, save_model
from lm.progress import track
from lm.rewards.answer_line import answer_line_reward
from lm.storage import Artifact, publish
from lm.tokenizer import SPECIAL_TOKENS, train_bpe

NUM_PROMPTS, NUM_SAMPLES, NEW_TOKENS = 32, 8, 64
SHORTEST, LONGEST = 10, 60
MIN_RATIO = 3.0


def rows(shared: Path, *, toy: bool = False) -> Iterator[Row]:
    """Yield all rows; `toy` selects small sizes for a test. `shared` is the folder of published GSM8K and HH."""
    yield from _rollout_rows(toy)
    yield from _step_rows(toy)
    yield from _data_rows(shared, toy)


def _rollout_rows(toy: bool) -> Iterator[Row]:
    model, theirs = _twins()
    draw = torch.Generator().manual_seed(0)
    count, new_tokens = (4, 4) if toy else (NUM_PROMPTS, NEW_TOKENS)
    lengths = torch.randint(SHORTEST, LONGEST + 1, (count,), generator=draw).tolist()
    prompts = [torch.randint(1, model.config.vocab_size, (n,), generator=draw).tolist() for n in lengths]
    config = GenerationConfig(max_new_tokens=new_tokens)
    longest = max(lengths)
    ids = torch.tensor([[0] * (longest - len(prompt)) + prompt for prompt in prompts])
    mask = torch.arange(longest) >= longest - torch.tensor(lengths)[:, None]
    # Any of 1 in 32 tokens ends a response, so that half of them end within 22 tokens.
    for ends, stop_ids in (("none of which ends", []), ("which end", list(range(1, model.config.vocab_size, 32)))):

        def ours(stop_ids: list[int] = stop_ids) -> int:
            groups = generate(model, prompts, config, stop_ids=stop_ids, num_samples=NUM_SAMPLES)
            return sum(len(one.token_ids) for group in groups for one in group)

        def peer(stop_ids: list[int] = stop_ids) -> int:
            settings = {"do_sample": True, "top_k": 0, "pad_token_id": 0, "eos_token_id": stop_ids or None}
            drawn = theirs.generate(
                ids, attention_mask=mask.long(), max_new_tokens=new_tokens, num_return_sequences=NUM_SAMPLES, **settings
            )[:, longest:]
            stopped = torch.isin(drawn, torch.tensor(stop_ids, dtype=torch.long)).long()
            # A token counts where none before it has ended the response.
            return int((stopped.cumsum(1) - stopped == 0).sum())

        speeds = _alternating({"ours": ours, "peer": peer}, 1 if toy else 5)
        yield Row(
            name=f"rollouts, {count} prompts of {SHORTEST} to {LONGEST} tokens × {NUM_SAMPLES}, {ends}",
            value=speeds["ours"],
            unit="tokens/s",
            peer=f"transformers generate {speeds['peer']:,.0f}",
            ratio=speeds["ours"] / speeds["peer"],
            target=None if toy else MIN_RATIO,
        )


def _twins() -> tuple[TransformerLM, Any]:
    """Return Loam's model of the demo's shape and transformers' Llama, with the same weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = preset("tiny_cpu", rope_layout="half")
    ours = TransformerLM(config).eval()
    theirs: Any = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.d_model,
            intermediate_size=config.d_ff,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            max_position_embeddings=config.context_length,
            rms_norm_eps=config.norm_epsilon,
            tie_word_embeddings=config.tie_embeddings,
        )
    ).eval()
    names = {"token_embeddings": "embed_tokens", "ln_final": "norm", "ln1": "input_layernorm"}
    names |= {"ln2": "post_attention_layernorm", "attn": "self_attn", "output_proj": "o_proj", "ffn": "mlp"}
    names |= {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}

    def renamed(name: str) -> str:
        parts = ".".join(names.get(part, part) for part in name.split("."))
        return parts if parts.startswith("lm_head") else f"model.{parts}"

    theirs.load_state_dict({renamed(name): tensor for name, tensor in ours.state_dict().items()})
    ids = torch.randint(1, config.vocab_size, (2, 16))
    with torch.no_grad():
        torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=1e-3, atol=1e-3)
    return ours, theirs


def _alternating(works: Mapping[str, Callable[[], int]], repeats: int) -> dict[str, float]:
    """Return the median tokens per second of each, in turns, after one warm-up run of each."""
    speeds: defaultdict[str, list[float]] = defaultdict(list)
    for repeat in track(range(repeats + 1), "rollouts", unit="round"):
        for name, work in works.items():
            started = time.perf_counter()
            tokens = work()
            if repeat:
                speeds[name].append(tokens / (time.perf_counter() - started))
    return {name: statistics.median(found) for name, found in speeds.items()}


def _step_rows(toy: bool) -> Iterator[Row]:
    """Yield the shares of rollouts, scoring and training in GRPO steps of the demo's sizes."""
    problems = _problems(4 if toy else 32)
    tokenizer = train_bpe([problem.prompt for problem in problems], 600, SPECIAL_TOKENS)
    torch.manual_seed(0)
    model = TransformerLM(preset("tiny_cpu", vocab_size=tokenizer.vocab_size))
    config = GRPOConfig(batch_size=len(problems), group_size=4 if toy else 16, max_new_tokens=8 if toy else 48)
    tuner, generation = Tuner(model, config), GenerationConfig(max_new_tokens=config.max_new_tokens)
    drawing, scoring, training = list[float](), list[float](), list[float]()
    # Random weights are never right: every second response counts as such, so that every group has a signal.
    rewards = (torch.arange(config.batch_size * config.group_size) % 2).float().view(config.batch_size, -1)
    unscored: dict[str, Any] = {"group_size": config.group_size, "reward_fn": lambda response, truth: {"reward": 0.0}}
    for step in range(1 if toy else 4):
        started = time.perf_counter()
        drawn = roll_out(model.eval(), tokenizer, problems, generation, **unscored, seed=step)
        rolled = time.perf_counter()
        for answer in drawn.answers:
            answer_line_reward(answer.response, str(answer.problem.answer))
        scored = time.perf_counter()
        accumulate_policy_gradients(model.train(), None, replace(drawn, rewards=rewards), config, step)
        tuner.step()
        drawing.append(rolled - started)
        scoring.append(scored - rolled)
        training.append(time.perf_counter() - scored)
    parts = {"rollout": sum(drawing), "scoring": sum(scoring), "training": sum(training)}
    for name, seconds in parts.items():
        yield Row(name=f"share of a GRPO step: {name}", value=seconds / sum(parts.values()), unit="")


def _problems(count: int) -> list[Problem]:
    from pipelines.demo_crawl.dice import Dice
    from pipelines.demo_crawl.problems import make_problem

    made = (make_problem(Dice("benchmark", number)) for number in range(count))
    return [Problem(id=str(i), prompt=each.prompt, answer=each.answer, split="train") for i, each in enumerate(made)]


def _data_rows(shared: Path, toy: bool) -> Iterator[Row]:
    """Yield rows of lost examples, neither trained on nor counted, of published GSM8K and HH."""
    names = ("GSM8K problems lost without a count", "HH pairs lost without a count")
    gsm8k = [shared / "gsm8k" / name for name in ("train.jsonl", "test.jsonl")]
    hh = shared / "preferences" / "hh_harmless.jsonl.gz"
    if not all(path.is_file() for path in (*gsm8k, hh)):
        yield from (Row(name=name, value=None, unit="", target=0, better="lower") for name in names)
        return
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        if toy:
            gsm8k, hh = [_head(path, home) for path in gsm8k], _head(hh, home)
        data = publish_alignment_data({"instructions.jsonl": gsm8k, "preferences.jsonl": hh}, home / "data")
        places = _start(home, data)
        small: dict[str, Any] = {"num_steps": 2 if toy else 20, "batch_size": 4 if toy else 32, "too_long": "skip"}
        small |= {"evaluation_problems": 2 if toy else 16, "max_new_tokens": 8 if toy else 64}
        published = {"instructions": sum(path.read_text("utf-8").count("\n") for path in gsm8k)}
        published["preferences"] = len(gzip.decompress(hh.read_bytes()).splitlines())
        accounted = {}
        readers: Sequence[tuple[str, Any, Callable[..., Sequence[object]]]] = (
            ("instructions", Instruction, encode_instructions),
            ("preferences", Preference, encode_pairs),
        )
        for name, kind, encode in readers:
            path = data.file(f"{name}.jsonl")
            records, limit = read_records(kind, path), LengthLimit(257, "skip")
            kept = encode(places["vocabulary"], records, path, limit)
            cut = sum(data.summary.get(f"{name}_left_out", {}).values())
            accounted[name] = len(records) + cut
            yield Row(name=f"{name} that fit 256 tokens, of {published[name]:,}", value=len(kept), unit="")
        given = {key: places[key] for key in ("model", "tokenizer")}
        train_sft(SFTConfig(**small), **given, instructions=data.file("instructions.jsonl"), output=home / "sft")
        given["model"] = home / "sft"
        train_dpo(DPOConfig(**small), **given, preferences=data.file("preferences.jsonl"), output=home / "dpo")
        for name, label in zip(accounted, names, strict=True):
            yield Row(name=label, value=published[name] - accounted[name], unit="", target=0, better="lower")


def _head(path: Path, folder: Path, num_lines: int = 400) -> Path:
    """Return a copy of the first lines of a plain or compressed file."""
    opened = gzip.open if path.suffix == ".gz" else open
    copy = folder / path.name
    with opened(path, "rt", encoding="utf-8") as stream, opened(copy, "wt", encoding="utf-8") as target:
        target.writelines(islice(stream, num_lines))
    return copy


def _start(home: Path, data: Artifact) -> dict[str, Any]:
    """Return a tokenizer trained on the data and a new model of the demo's shape, as artifacts."""
    texts: Sequence[str] = data.file("instructions.jsonl").read_text("utf-8").splitlines()[:2_000]
    vocabulary = train_bpe(texts, 2_048, SPECIAL_TOKENS)
    torch.manual_seed(0)
    identity: dict[str, Any] = {"config": {}, "inputs": {}, "code": "benchmark"}
    with publish(home / "tokenizer", kind="tokenizer", **identity) as publication:
        vocabulary.save(publication.path)
    with publish(home / "model", kind="pretrained_model", **identity) as publication:
        model = TransformerLM(preset("tiny_cpu", vocab_size=vocabulary.vocab_size))
        save_model(publication.path, model, vocabulary.digest)
    return {"model": home / "model", "tokenizer": home / "tokenizer", "vocabulary": vocabulary}


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("alignment", (__doc__ or "").strip()).parse_args(argv)
    return finish("alignment", rows(shared_data()), arguments)


if __name__ == "__main__":
    run_command(main)
