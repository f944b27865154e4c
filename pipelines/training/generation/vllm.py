"""vLLM as an engine, through TRL's generation backend: a colocated engine or a server, weights pushed to it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.training.core.configs import SamplingConfig, VLLMConfig
from pipelines.training.generation.dropping import end_tokens
from pipelines.training.generation.engine import Completion, Request, cut_at_end
from pipelines.training.generation.whole import WholeView

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class VLLMEngine:
    """Completions by vLLM. Its random numbers are its own: a resumed run draws others than an undisturbed one."""

    name = "vllm"

    def __init__(
        self,
        model: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerBase",
        config: VLLMConfig,
        *,
        max_tokens: int | None = None,
        most: Callable[[int], int] = lambda n: n,
        backend: Any = None,
    ) -> None:
        self._eos = frozenset(end_tokens(model, tokenizer))
        self._vllm = backend or _backend(model, tokenizer, config, max_tokens)
        self._most = most
        self._synced: int | None = None

    def sync(self, step: int) -> None:
        """Pushes the model's weights to vLLM, once a step."""
        if self._synced != step:
            self._vllm.sync_weights()
            self._synced = step

    def generate(self, requests: Sequence[Request], sampling: SamplingConfig) -> list[Completion]:
        """One completion per request, in order."""
        self._vllm.temperature = sampling.temperature
        self._vllm.top_p = sampling.top_p
        self._vllm.top_k = sampling.top_k
        self._vllm.max_completion_length = sampling.max_new_tokens
        prompts = [list(request.prompt) for request in requests]
        # A server, and GPUs that share one copy, answer all processes at once and divide the answers evenly.
        filler = prompts[-1] if prompts else [min(self._eos)]
        prompts += [filler] * (self._most(len(prompts)) - len(prompts))
        if not prompts:
            return []
        _, completions, *_ = self._vllm.generate(prompts=prompts, images=None, num_generations=1)
        return [cut_at_end(tokens, self._eos) for tokens in completions[: len(requests)]]


def _backend(
    model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", config: VLLMConfig, max_tokens: int | None
) -> Any:
    import importlib.util

    if importlib.util.find_spec("vllm") is None:
        raise MissingRequirement(
            "engine is vllm, which is not installed for this Python",
            remedy="Install the extra vllm in an environment of its own, or set engine.name to hf.",
        )
    if config.mode == "server" and config.server_url is None:
        raise InvalidInput("engine.vllm.mode is server but server_url is not set", remedy="Set engine.vllm.server_url.")
    from accelerate import Accelerator
    from trl.generation.vllm_generation import VLLMGeneration

    return VLLMGeneration(
        model=WholeView(model),
        accelerator=Accelerator(),
        processing_class=tokenizer,
        mode=config.mode,
        server_base_url=config.server_url,
        tensor_parallel_size=config.tensor_parallel,
        gpu_memory_utilization=config.gpu_memory,
        max_model_length=max_tokens,
        enable_sleep_mode=config.sleep,
        logprobs=0,
    )
