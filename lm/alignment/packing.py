"""Packing: several exchanges in one row, so that little is padded.

Two ways. `pack` puts whole exchanges into rows by best fit. Each attends to itself alone and its positions start at 0,
so the loss is that of the unpacked batch. `PackedSFTDataset` is the plain way of many SFT recipes: all texts in a row,
cut every `seq_length` tokens. There nothing is padded, and a sequence may attend to the texts before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from lm.alignment.log_probs import response_log_probs
from lm.chat.template import LOAM, ChatExample, ChatTemplate, encode_example
from lm.errors import InputError
from lm.model import TransformerLM
from lm.tokenizer import Tokenizer
from lm.training.windows import best_fit


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Rows of exchanges: inputs, their targets, which targets are learned, and each input's exchange and position."""

    ids: Int[Tensor, "rows seq"]
    labels: Int[Tensor, "rows seq"]
    response_mask: Bool[Tensor, "rows seq"]
    document_ids: Int[Tensor, "rows seq"]
    """Counted within the row; padding is an exchange of its own."""
    positions: Int[Tensor, "rows seq"]


def pack(examples: Sequence[ChatExample], seq_length: int, device: torch.device) -> PackedBatch:
    """Return the exchanges in as few rows of `seq_length` inputs as best fit decreasing finds, in a fixed order.

    Raises:
        InputError: an exchange of more than `seq_length` inputs.
    """
    lengths = np.array([len(example.token_ids) - 1 for example in examples], np.int64)
    if lengths.max() > seq_length:
        raise InputError(f"an exchange of {lengths.max()} inputs, expected at most {seq_length}")
    rows_of = best_fit(lengths, seq_length)
    shape = (int(rows_of.max()) + 1, seq_length)
    ids, labels, documents, positions = (torch.zeros(shape, dtype=torch.long) for _ in range(4))
    mask, filled = torch.zeros(shape, dtype=torch.bool), [0] * shape[0]
    count = [0] * shape[0]
    for example, row in zip(examples, rows_of.tolist(), strict=True):
        tokens, start = torch.tensor(example.token_ids), filled[row]
        end = start + len(tokens) - 1
        ids[row, start:end], labels[row, start:end] = tokens[:-1], tokens[1:]
        mask[row, start + example.num_prompt_tokens - 1 : end] = True
        documents[row, start:end], positions[row, start:end] = count[row], torch.arange(end - start)
        filled[row], count[row] = end, count[row] + 1
    for row, end in enumerate(filled):
        documents[row, end:], positions[row, end:] = count[row], torch.arange(seq_length - end)
    return PackedBatch(*(part.to(device) for part in (ids, labels, mask, documents, positions)))


def packed_log_probs(model: TransformerLM, batch: PackedBatch) -> Float[Tensor, "rows seq"]:
    """Return log p(label | its own exchange up to there) of the learned tokens; 0 elsewhere."""
    return response_log_probs(
        model,
        batch.ids,
        batch.labels,
        mask=batch.response_mask,
        counted=batch.document_ids < batch.document_ids[:, -1:] if model.config.num_experts else None,
        document_ids=batch.document_ids,
        positions=batch.positions,
    )["log_probs"]


class PackedSFTDataset(Dataset[dict[str, Tensor]]):
    """Prompts with their responses as sequences of one fixed length, for a `DataLoader`.

    The exchanges follow each other as one stream of ids, which is cut every `seq_length`; what is left at the end is
    dropped. An item has `input_ids`, `labels` (the id after each), and `mask`, true where the label belongs to a
    response. Plain SFT recipes train on all labels; with the mask, on the responses alone.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        pairs: Sequence[tuple[str, str]],
        seq_length: int,
        *,
        template: ChatTemplate = LOAM,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        """Args:
            pairs: of a prompt and a response.
            shuffle: draw the order of the exchanges from `seed`.

        Raises:
            InputError: fewer ids than one sequence and its last label.
        """
        order = list(range(len(pairs)))
        if shuffle:
            order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(seed)).tolist()
        examples = [encode_example(tokenizer, *pairs[index], template=template) for index in order]
        ids = [token_id for example in examples for token_id in example.token_ids]
        learned = [
            place >= example.num_prompt_tokens for example in examples for place in range(len(example.token_ids))
        ]
        if len(ids) <= seq_length:
            raise InputError(f"{len(ids)} ids in {len(pairs)} pairs, expected more than seq_length = {seq_length}")
        self._ids, self._learned, self._length = torch.tensor(ids), torch.tensor(learned), seq_length

    def __len__(self) -> int:
        return (len(self._ids) - 1) // self._length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        span = slice(index * self._length, (index + 1) * self._length)
        after = slice(span.start + 1, span.stop + 1)
        return {"input_ids": self._ids[span], "labels": self._ids[after], "mask": self._learned[after]}
