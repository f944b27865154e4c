"""vLLM as the engine of a training stage, through TRL's backend: colocated or a server, with weights pushed to it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.training.core.configs import SamplingConfig, VLLMConfig
from pipelines.training.core.trl_compat import make_vllm_generation
from pipelines.training.generation.engine import Completion, GenerationRequest, truncate_at_eos
from pipelines.training.generation.row_dropping import eos_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SyncedVLLMEngine:
    """vLLM that receives the weights once per step. It ignores seeds: a resumed run samples other completions."""

    name = "vllm"

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        config: VLLMConfig,
        *,
        max_sequence: int | None = None,
        all_reduce_max: Callable[[int], int] = lambda n: n,
        backend: Any = None,
    ) -> None:
        self._eos = frozenset(eos_token_ids(model, tokenizer))
        self._vllm = backend or _backend(model, tokenizer, config, max_sequence)
        self._all_reduce_max = all_reduce_max
        self._synced: int | None = None

    def sync(self, step: int) -> None:
        """Push the weights of `step` to vLLM, once."""
        if self._synced != step:
            self._vllm.sync_weights()
            self._synced = step

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        self._vllm.temperature = sampling.temperature
        self._vllm.top_p = sampling.top_p
        self._vllm.top_k = sampling.top_k
        self._vllm.max_completion_length = sampling.max_new_tokens
        prompts = [list(request.prompt) for request in requests]
        # TRL sends the prompts of all processes to a server or tensor-parallel group and splits the result evenly.
        filler = prompts[-1] if prompts else [min(self._eos)]
        prompts += [filler] * (self._all_reduce_max(len(prompts)) - len(prompts))
        if not prompts:
            return []
        _, completions, *_ = self._vllm.generate(prompts=prompts, images=None, num_generations=1)
        return [truncate_at_eos(tokens, self._eos) for tokens in completions[: len(requests)]]


def _backend(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: VLLMConfig, max_sequence: int | None
) -> Any:
    import importlib.util

    if importlib.util.find_spec("vllm") is None:
        raise MissingRequirement(
            "engine is vllm, which is not installed for this Python",
            remedy="Install the extra vllm in an environment of its own, or set engine.name to hf.",
        )
    if config.mode == "server" and config.server_url is None:
        raise InvalidInput("engine.vllm.mode is server but server_url is not set", remedy="Set engine.vllm.server_url.")
    return make_vllm_generation(model, tokenizer, config, max_sequence)
