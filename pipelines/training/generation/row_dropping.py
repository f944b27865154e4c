"""A generation loop that drops finished rows, so that the cost of a batch is that of its unfinished rows.

Each row has random numbers from its own seed and samples by inverting the cumulative distribution, so its completion
does not depend on the other rows of the batch.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.generation.decoders import (
    Decoder,
    FusedDecoder,
    FusedWeights,
    TransformersDecoder,
    can_fuse,
)
from pipelines.training.generation.engine import Completion, GenerationRequest
from pipelines.training.generation.in_process import InProcessEngine, left_pad

_SAMPLED_BYTES: Final = 512 * 2**20
"""Most bytes of float64 logits that are turned into probabilities at once: 441 rows of a vocabulary of 151,936."""
_DROP_SHARE: Final = 1 / 16
"""Finished rows are dropped once they are this fraction of the batch, since dropping copies the whole cache."""


class RowDroppingEngine(InProcessEngine):
    """The row-dropping loop on a model in this process."""

    name = "dropping"

    def _decoder(self, prompt_tokens: int, new_tokens: int) -> Decoder:
        if not can_fuse(self._model, self._runtime.device, self._runtime.compute):
            return TransformersDecoder(self._model)
        weights = FusedWeights(self._model, prompt_tokens + new_tokens)
        return FusedDecoder(self._model, weights, new_tokens)

    def _generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        device = self._runtime.device
        ends = torch.tensor(sorted(self._eos), device=device)
        ids, mask, positions = left_pad([request.prompt for request in requests], self._pad, device)
        uniforms = _uniforms([request.seed for request in requests], sampling).to(device)
        tokens = torch.full((len(requests), sampling.max_new_tokens), self._pad, device=device)
        lengths = torch.zeros(len(requests), dtype=torch.long, device=device)
        rows = torch.arange(len(requests), device=device)
        live = torch.ones(len(requests), dtype=torch.bool, device=device)
        decoder = self._decoder(ids.shape[1], sampling.max_new_tokens)
        with self._runtime.autocast():
            logits = decoder.prefill(ids, mask, positions)
        last = positions[:, -1]
        for index in range(sampling.max_new_tokens):
            drawn = sample_tokens(logits, uniforms[rows, index], sampling)
            tokens[rows, index] = torch.where(live, drawn, self._pad)
            lengths[rows[live]] = index + 1
            live &= ~torch.isin(drawn, ends)
            alive = int(live.sum())
            if alive == 0 or index + 1 == sampling.max_new_tokens:
                break
            if len(rows) - alive >= max(1, len(rows) * _DROP_SHARE):
                kept = live.nonzero().squeeze(1)
                decoder.keep(kept)
                rows, drawn, last, live = rows[kept], drawn[kept], last[kept], live[kept]
            last = last + 1
            with self._runtime.autocast():
                logits = decoder.step(drawn, last)
        found = []
        for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True):
            kept_tokens = tuple(row[:length])
            found.append(Completion(kept_tokens, "stop" if kept_tokens[-1] in self._eos else "length"))
        return found


def sample_tokens(logits: torch.Tensor, uniforms: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    """Sample a token per row. Rows are independent, so a large vocabulary takes them in parts.

    Args:
        logits: (rows, vocabulary).
        uniforms: random numbers in [0, 1), (rows,).
        sampling: temperature, top_k and top_p.

    Returns:
        Token ids, (rows,).
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    rows = max(1, _SAMPLED_BYTES // (8 * logits.shape[-1]))
    parts = zip(logits.split(rows), uniforms.split(rows), strict=True)
    return torch.cat([_sample_rows(part, numbers, sampling) for part, numbers in parts])


def _sample_rows(logits: torch.Tensor, uniforms: torch.Tensor, sampling: SamplingConfig) -> torch.Tensor:
    logits = logits.double() / sampling.temperature
    if sampling.top_k:
        kth = logits.topk(min(sampling.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    probabilities = logits.softmax(dim=-1)
    if sampling.top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True)
        outside = ordered.cumsum(dim=-1) - ordered >= sampling.top_p
        probabilities = probabilities.masked_fill(torch.zeros_like(outside).scatter(1, order, outside), 0)
    cumulative = probabilities.cumsum(dim=-1)
    chosen = torch.searchsorted(cumulative, uniforms.unsqueeze(1).double() * cumulative[:, -1:], right=True)
    return chosen.squeeze(1).clamp_max(logits.shape[-1] - 1)


def _uniforms(seeds: Sequence[int], sampling: SamplingConfig) -> torch.Tensor:
    if sampling.temperature == 0:
        return torch.zeros(len(seeds), sampling.max_new_tokens, dtype=torch.float64)
    rows = [np.random.default_rng(seed).random(sampling.max_new_tokens) for seed in seeds]
    return torch.from_numpy(np.stack(rows))
