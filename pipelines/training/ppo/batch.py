"""Rollouts of a step as tensors, micro-batches of similar length, and the networks' estimates for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from pipelines.training.ppo.advantages import completion_mask
from pipelines.training.sampling.rollouts import SampledRollout

MICRO_BATCH_TOKENS: Final = {"cpu": 1536, "cuda": 16384}
"""Most tokens of a micro-batch, padding included, where the config sets no size. On a CPU a micro-batch should stay in
the caches: 4,096 tokens are a quarter slower (measured with a hidden size of 64)."""


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """The n rollouts of a step, on the CPU, padded to the longest sequence and the longest completion."""

    ids: Tensor
    """Token ids of prompt and completion, padded on the right, (n, sequence)."""
    prompt_lengths: Tensor
    """Tokens of the prompts, (n,)."""
    lengths: Tensor
    """Tokens of the completions, (n,)."""
    mask: Tensor
    """True on generated tokens, (n, completion)."""
    scores: Tensor
    """Rewards of the completions, (n,)."""
    sampler_log_probs: Tensor | None = None
    """Log-probabilities of the generated tokens by the engine, (n, completion); None if it returned none."""

    @classmethod
    def from_rollouts(cls, rollouts: Sequence[SampledRollout], pad: int) -> "RolloutBatch":
        """Build the batch of these rollouts; `pad` fills up the rows."""
        rows = [torch.tensor(each.prompt + each.completion, dtype=torch.long) for each in rollouts]
        lengths = torch.tensor([len(each.completion) for each in rollouts])
        sampled = [torch.tensor(each.log_probs) for each in rollouts if each.log_probs is not None]
        return cls(
            ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=pad),
            prompt_lengths=torch.tensor([len(each.prompt) for each in rollouts]),
            lengths=lengths,
            mask=completion_mask(lengths, int(lengths.max())),
            scores=torch.tensor([each.reward for each in rollouts], dtype=torch.float32),
            sampler_log_probs=_padded(sampled) if len(sampled) == len(rollouts) else None,
        )

    def __len__(self) -> int:
        return len(self.scores)

    def micro_batch(self, rows: Sequence[int], device: torch.device) -> "MicroBatch":
        """Build the micro-batch of some rows, padded to the longest of them, on a device."""
        index = torch.tensor(rows, dtype=torch.long)
        first = self.prompt_lengths[index] - 1
        ends = first + self.lengths[index]
        ids = self.ids[index, : int(ends.max()) + 1]
        columns = torch.arange(ids.shape[1])
        target_mask = (columns >= first.unsqueeze(1)) & (columns < ends.unsqueeze(1))
        targets = ids.roll(-1, dims=1)[target_mask]
        return MicroBatch(index, ids.to(device), target_mask.to(device), targets.to(device), self.mask[index])

    def group_rows(self, rows: Sequence[int], size: int | None, *, tokens: int) -> list[list[int]]:
        """Group rows by length: at most `size` rows per group or, if that is None, `tokens` tokens with padding."""
        totals = self.prompt_lengths + self.lengths
        ordered = sorted(rows, key=lambda row: (-int(totals[row]), row))
        if size is not None:
            return [ordered[start : start + size] for start in range(0, len(ordered), size)]
        groups: list[list[int]] = []
        for row in ordered:
            if groups and (len(groups[-1]) + 1) * int(totals[groups[-1][0]]) <= tokens:
                groups[-1].append(row)
            else:
                groups.append([row])
        return groups


def _padded(rows: Sequence[Tensor]) -> Tensor:
    padded: Tensor = torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
    return padded


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """Rows of a batch as input of the networks, with n generated tokens in all."""

    rows: Tensor
    """Row indices in the batch, (rows,), on the CPU."""
    ids: Tensor
    """Token ids, (rows, width)."""
    target_mask: Tensor
    """True on positions whose next token was generated, (rows, width)."""
    targets: Tensor
    """The generated tokens, (n,), row by row."""
    mask: Tensor
    """The batch's mask of these rows, on the CPU."""

    def gather(self, values: Tensor) -> Tensor:
        """Select this micro-batch's n values from a tensor (rollouts, completion), on the micro-batch's device."""
        return values[self.rows][self.mask].to(self.ids.device)

    def scatter(self, target: Tensor, values: Tensor) -> None:
        """Write this micro-batch's n values into a tensor (rollouts, completion), in place."""
        block = target[self.rows]
        block[self.mask] = values.to(target.device, target.dtype)
        target[self.rows] = block


@dataclass(frozen=True, slots=True)
class RolloutEstimates:
    """The networks' outputs for a batch before the update, (rollouts, completion) each, on the CPU."""

    log_probs: Tensor
    reference: Tensor | None
    """Log-probabilities under the reference policy; None without one."""
    values: Tensor
    entropy: Tensor
