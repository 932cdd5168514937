"""Supervised fine-tuning: learn to answer from examples, by cross-entropy on the response tokens alone.

    loss = − Σ log p(response token | what came before) / number of response tokens in the batch

The end-of-turn token counts as response; that is how a model learns to stop. With `lora_rank` adapters learn in place
of the weights (`lm.alignment.lora`); `adapter.safetensors` has them, and the published model contains them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lm.alignment.config import Packing, SFTConfig
from lm.alignment.lengths import LengthLimit
from lm.alignment.lora import adapter_tensors, add_adapters, merge_adapters
from lm.alignment.microbatches import sft_microbatch_step
from lm.alignment.neftune import noisy_embeddings
from lm.alignment.packing import pack, packed_log_probs
from lm.alignment.policy import (
    Outcome,
    Policy,
    Report,
    StepLog,
    Tuner,
    check_finite,
    silent,
    tune_to_artifact,
)
from lm.alignment.sequences import batch_log_probs, pad, response_logits, shuffled_batches
from lm.chat.records import Instruction, Problem, of_split, read_records
from lm.chat.template import ChatExample, encode_example
from lm.errors import InputError
from lm.model import TransformerLM
from lm.model.precision import widened
from lm.progress import track
from lm.rewards.answer_line import parse_answer
from lm.storage import Artifact
from lm.tokenizer import Tokenizer
from lm.training.loss import token_losses


def train_sft(
    config: SFTConfig,
    *,
    model: Path,
    tokenizer: Path,
    instructions: Path,
    output: Path,
    shards: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Tune the model at `model` on the training part of `instructions` and publish it at `output`.

    `evaluation.json` has the held-out `loss` (nats per token) and `token_accuracy` before and after, and the rates of
    well-formed and of verified answers to the held-out instructions whose response ends in an answer.

    Raises:
        InputError: a bad line, an empty split, an example longer than the context, or another tokenizer's model.
    """

    def tune(policy: Policy, log: StepLog) -> Outcome:
        records = read_records(Instruction, instructions)
        train = of_split(records, "train", instructions)[: config.max_examples]
        heldout = of_split(records, "heldout", instructions)
        problems = answerable(heldout)
        limit = policy.length_limit(config)
        held_examples = encode_instructions(policy.tokenizer, heldout, instructions, limit)
        examples = encode_instructions(policy.tokenizer, train, instructions, limit)
        before = heldout_figures(policy.model, held_examples)
        fine_tune(policy, examples, config, log)
        adapters = adapter_tensors(policy.model) if config.lora_rank else {}
        merge_adapters(policy.model)
        after = heldout_figures(policy.model, held_examples)
        figures = {name: {"before": before[name], "after": after[name]} for name in before}
        rates, answers = policy.evaluate(problems, config) if problems else ({}, [])
        counts = {"num_train_examples": len(examples), "too_long": dict(limit.counts)}
        return Outcome({**figures, **counts, **rates}, answers, adapters)

    return tune_to_artifact(
        "sft",
        config,
        tune,
        model=model,
        tokenizer=tokenizer,
        data=instructions,
        output=output,
        shards=shards,
        report=report,
    )


def fine_tune(policy: Policy, examples: Sequence[ChatExample], config: SFTConfig, log: StepLog) -> None:
    """Train for `num_steps` updates over shuffled epochs of the examples; adapters stay beside the weights."""
    model = policy.model.train()
    if config.lora_rank:
        add_adapters(model, rank=config.lora_rank, alpha=config.lora_alpha, seed=config.seed)
    tuner = Tuner(model, config, policy.replay)
    done = log.resume(tuner)
    batches = islice(shuffled_batches(len(examples), config.batch_size, config.seed), done, config.num_steps)
    for step, indices in enumerate(track(batches, "sft", total=config.num_steps - done, unit="step"), start=done + 1):
        chosen = [examples[i] for i in indices]
        with noisy_embeddings(model, config.neftune_alpha, (config.seed * 1_000_003 + step) % 2**63):
            loss = accumulate_sft_gradients(model, chosen, config.microbatch_size, config.packing)
        check_finite(loss, step)
        log(step, {"loss": loss.item(), **tuner.step()})


def accumulate_sft_gradients(
    model: TransformerLM, examples: Sequence[ChatExample], microbatch_size: int, packing: Packing = "padded"
) -> Float[Tensor, ""]:
    """Add the gradients of the batch's loss, `microbatch_size` examples at a time; return the loss, in nats per token.

    Every microbatch's sum is divided by the response tokens of the whole batch, so its size does not matter.
    """
    num_tokens = sum(example.num_response_tokens for example in examples)
    total = torch.zeros((), device=model.device)
    for start in range(0, len(examples), microbatch_size):
        part = examples[start : start + microbatch_size]
        if packing == "padded":
            batch = pad(part, model.device)
            log_probs, mask = batch_log_probs(model, batch), batch.response_mask
        else:
            packed = pack(part, model.config.context_length, model.device)
            log_probs, mask = packed_log_probs(model, packed), packed.response_mask
        share = len(part) / len(examples)
        loss, _ = sft_microbatch_step(log_probs, mask, num_tokens, added_loss=share * model.auxiliary_loss())
        total += loss
    return total


@torch.no_grad()
def heldout_figures(model: TransformerLM, examples: Sequence[ChatExample], batch_size: int = 64) -> dict[str, float]:
    """Return the mean `loss` of all response tokens, in nats, and `token_accuracy`, the share that was likeliest.

    Each token weighs the same however the batches are cut, and follows the given tokens before it.
    """
    model.eval()
    loss, right, num_tokens = 0.0, 0, 0
    for start in range(0, len(examples), batch_size):
        batch = pad(examples[start : start + batch_size], model.device)
        logits, targets = response_logits(model, batch), batch.targets[batch.response_mask]
        loss += token_losses(widened(logits), targets).sum().item()
        right += int((logits.argmax(dim=-1) == targets).sum())
        num_tokens += len(targets)
    return {"loss": loss / num_tokens, "token_accuracy": right / num_tokens}


def answerable(instructions: Sequence[Instruction]) -> list[Problem]:
    """Return the instructions whose response ends in an answer, as problems."""
    answers = [(item, parse_answer(item.response)) for item in instructions]
    return [
        Problem(id=item.id, prompt=item.prompt, answer=answer, split=item.split)
        for item, answer in answers
        if answer is not None and not item.context
    ]


def encode_instructions(
    tokenizer: Tokenizer, instructions: Sequence[Instruction], path: Path, limit: LengthLimit
) -> list[ChatExample]:
    """Return the instructions as chats that fit the limit.

    Raises:
        InputError: one is too long, where the limit refuses it, or none is left.
    """
    encoded = (
        limit.fit(encode_example(tokenizer, item.prompt, item.response, item.context), f"{path}: id '{item.id}'")
        for item in instructions
    )
    examples = [example for example in encoded if example is not None]
    if not examples:
        raise InputError(f"{path}: none of {len(instructions)} examples fits {limit.longest} tokens")
    return examples
