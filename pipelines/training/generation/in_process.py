"""The base of engines on a model in this process: batches, end tokens, padding."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Completion, GenerationRequest, generate_in_batches

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class InProcessEngine:
    """An engine on a model in this process. Subclasses generate one batch.

    Args:
        model: belongs to the caller.
        tokenizer: of the model.
        runtime: device and number type.
        batch: completions generated at once; None means all.
    """

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        runtime: Runtime,
        batch: int | None = None,
    ) -> None:
        self._model = model
        self._runtime = runtime
        self._batch = batch
        self._pad = int(tokenizer.pad_token_id)
        self._eos = frozenset(eos_token_ids(model, tokenizer))

    def sync(self, step: int) -> None:
        """Do nothing: it reads the model's own weights."""

    def close(self) -> None:
        """Do nothing: the model belongs to the caller."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        with torch.inference_mode():
            return generate_in_batches(self._model, requests, self._batch, lambda part: self._generate(part, sampling))

    def _generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request of a batch, in order, without gradients."""
        raise NotImplementedError


def eos_token_ids(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> set[int]:
    """Return the ids that end a completion: the tokenizer's and those of the model's generation config."""
    configured = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = configured if isinstance(configured, list) else [configured]
    return {int(tokenizer.eos_token_id)} | {int(token) for token in more if token is not None}


def left_pad(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
    """Pad prompts on the left into one batch.

    Returns:
        Ids, attention mask and positions, each (rows, longest); the mask is None if all prompts are equally long.
    """
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad, dtype=torch.long)
    positions = torch.zeros((len(prompts), longest), dtype=torch.long)
    mask = torch.zeros((len(prompts), longest), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        first = longest - len(prompt)
        ids[row, first:] = torch.tensor(prompt, dtype=torch.long)
        positions[row, first:] = torch.arange(len(prompt))
        mask[row, first:] = 1
    even = bool(mask.all())
    return ids.to(device), None if even else mask.to(device), positions.to(device)
