"""HF generate as an engine, for models and devices on which it is faster than our loop."""

from collections.abc import Sequence

import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.generation.engine import Completion, GenerationRequest, truncate_at_eos
from pipelines.training.generation.in_process import InProcessEngine, left_pad


class HFEngine(InProcessEngine):
    """`model.generate` on a model in this process. A batch has one seed, so a row depends on the other rows of it."""

    name = "hf"

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
