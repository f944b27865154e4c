"""The protocol of generation engines: requests, completions, and helpers that all engines use."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipelines.records import FinishReason
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.runtime import memory_guard

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One completion to generate."""

    prompt: tuple[int, ...]
    """Token ids, at least one."""
    seed: int
    """Determines the completion, given prompt and weights; for vLLM and HF generate only approximately."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A generated completion."""

    tokens: tuple[int, ...]
    """Token ids; with finish reason `stop` the last one is the end-of-sequence token."""
    finish_reason: FinishReason
    log_probs: tuple[float, ...] | None = None
    """Log-probability of each token under the distribution it was sampled from; None if the engine returns none."""


class ProcessGroup(Protocol):
    """The processes of a stage, as engines use them; every method is a collective."""

    rank: int
    size: int

    def all_gather(self, items: Sequence[Any]) -> list[Any]:
        """Return the items of all processes; one item of each comes in the order of the ranks."""
        ...

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value in all of them."""
        ...

    def all_reduce_max(self, number: int) -> int:
        """Return the largest number over the processes."""
        ...


class Engine(Protocol):
    """Generates completions from the current weights of one model."""

    name: str

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        ...

    def sync(self, step: int) -> None:
        """Load the weights of `step` into the engine; engines that share the model's memory do nothing."""
        ...

    def close(self) -> None:
        """Free what the engine holds outside the model. Every process must call it, after its last collective."""
        ...


def rollout_seed(seed: int, split: str, step: int, problem_id: str, sample: int) -> int:
    """Return a 63-bit seed for one completion, the same in every attempt, process and batch."""
    place = "\x1f".join((str(seed), split, str(step), problem_id, str(sample)))
    return int.from_bytes(hashlib.sha256(place.encode()).digest()[:8]) >> 1


def generate_in_batches(
    model: "PreTrainedModel",
    requests: Sequence[GenerationRequest],
    size: int | None,
    generate: Callable[[Sequence[GenerationRequest]], list[Completion]],
) -> list[Completion]:
    """Generate in batches with the model in evaluation mode.

    Args:
        model: the model, put back into its mode afterwards.
        requests: the completions to generate.
        size: requests per batch; None takes all at once.
        generate: generates one batch.

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


def truncate_at_eos(tokens: Sequence[int], eos: frozenset[int], log_probs: Sequence[float] | None = None) -> Completion:
    """Build a completion from generated ids, without the padding after the first end-of-sequence token.

    Args:
        tokens: generated token ids, (n,).
        eos: the ids that end a completion.
        log_probs: of the tokens, (n,), if the engine returned them.
    """
    end = next((index + 1 for index, token in enumerate(tokens) if token in eos), None)
    kept = None if log_probs is None else tuple(log_probs[:end])
    return Completion(tuple(tokens[:end]), "length" if end is None else "stop", kept)
