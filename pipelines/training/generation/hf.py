"""HF generate as an engine, for models and devices on which it is faster than our loop."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pipelines.training.core.configs import SamplingConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Completion, GenerationRequest, generate_in_batches, truncate_at_eos
from pipelines.training.generation.row_dropping import eos_token_ids, left_pad

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class HFEngine:
    """`model.generate` on a model in this process. A batch has one seed, so a row depends on the other rows of it."""

    name = "hf"

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
        """Do nothing: generate reads the model's own weights."""

    def close(self) -> None:
        """Do nothing: the model belongs to the caller."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        with torch.inference_mode():
            return generate_in_batches(self._model, requests, self._batch, lambda part: self._generate(part, sampling))

    def _generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        from transformers import GenerationConfig

        ids, mask, _ = left_pad([request.prompt for request in requests], self._pad, self._runtime.device)
        draws = sampling.temperature > 0
        # Not the model's own generation config: that of a hub model may set top_p = 0.8 or a repetition penalty.
        settings = GenerationConfig(
            max_new_tokens=sampling.max_new_tokens,
            do_sample=draws,
            eos_token_id=sorted(self._eos),
            pad_token_id=self._pad,
            **(
                {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k} if draws else {}
            ),
        )
        devices = [self._runtime.device] if self._runtime.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), self._runtime.autocast():
            torch.manual_seed(sum(request.seed for request in requests) % 2**63)
            output = self._model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids) if mask is None else mask,
                generation_config=settings,
            )
        return [truncate_at_eos(row, self._eos) for row in output[:, ids.shape[1] :].tolist()]
