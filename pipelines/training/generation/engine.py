"""What an engine is asked and what it answers; which engine fits where."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipelines.records import FinishReason
from pipelines.training.core.configs import SamplingConfig
from pipelines.training.core.runtime import memory_guard

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One completion to draw."""

    prompt: tuple[int, ...]
    """Token ids, at least one."""
    seed: int
    """Decides, with prompt and weights, what is drawn (vLLM and HF generate: only approximately)."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What was drawn."""

    tokens: tuple[int, ...]
    """Token ids; the end-of-sequence token is the last one where the completion ended by itself."""
    finish_reason: FinishReason


class Engine(Protocol):
    """Draws completions from the current weights of one model."""

    name: str

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """One completion per request, in order."""
        ...

    def sync(self, step: int) -> None:
        """Takes over the model's weights after a change; engines that share the model's memory do nothing."""
        ...


def rollout_seed(seed: int, split: str, step: int, problem_id: str, sample: int) -> int:
    """A 63-bit seed for one completion, the same whichever attempt, process or batch draws it."""
    place = "\x1f".join((str(seed), split, str(step), problem_id, str(sample)))
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:8]) >> 1


def generate_in_batches(
    model: "PreTrainedModel",
    requests: Sequence[GenerationRequest],
    size: int | None,
    generate: Callable[[Sequence[GenerationRequest]], list[Completion]],
) -> list[Completion]:
    """Generates batch by batch with the model in evaluation mode.

    Raises:
        StageFailed: out of memory; names the batch.
    """
    step = size or max(1, len(requests))
    was_training = model.training
    model.eval()
    try:
        found: list[Completion] = []
        for start in range(0, len(requests), step):
            part = requests[start : start + step]
            with memory_guard(f"generating {len(part)} completions at once", "Set a smaller engine.batch."):
                found += generate(part)
        return found
    finally:
        model.train(was_training)


def truncate_at_eos(tokens: Sequence[int], eos: frozenset[int]) -> Completion:
    """A completion from raw generated ids: what follows the first end-of-sequence token is filler and goes."""
    for index, token in enumerate(tokens):
        if token in eos:
            return Completion(tuple(tokens[: index + 1]), "stop")
    return Completion(tuple(tokens), "length")
