"""vLLM on a model that is not in training: it loads the weights from files, over several GPUs of a node if asked."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.training.core.configs import SamplingConfig, VLLMConfig
from pipelines.training.generation.engine import Completion, GenerationRequest, truncate_at_eos
from pipelines.training.generation.row_dropping import eos_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class StandaloneVLLMEngine:
    """vLLM in this process with a seed per request; vLLM does not guarantee equal completions for equal seeds."""

    name = "vllm"

    def __init__(
        self,
        path: Path,
        model: Any,
        tokenizer: "PreTrainedTokenizerBase",
        config: VLLMConfig,
        *,
        max_sequence: int,
        vllm: Any = None,
    ) -> None:
        self._eos = frozenset(eos_token_ids(model, tokenizer))
        self._vllm = vllm or _vllm()
        if config.mode != "colocate":
            raise InvalidInput(
                f"engine.vllm.mode is {config.mode}: a sample stage starts vLLM itself",
                remedy="Leave engine.vllm.mode out.",
            )
        self._llm = self._vllm.LLM(
            model=str(path),
            tensor_parallel_size=config.tensor_parallel,
            gpu_memory_utilization=config.gpu_memory,
            max_model_len=max_sequence,
        )

    def sync(self, step: int) -> None:
        """Do nothing: the weights are those of the files."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        settings = [
            self._vllm.SamplingParams(
                n=1,
                seed=request.seed,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                max_tokens=sampling.max_new_tokens,
                stop_token_ids=sorted(self._eos),
                detokenize=False,
            )
            for request in requests
        ]
        prompts = [{"prompt_token_ids": list(request.prompt)} for request in requests]
        outputs = self._llm.generate(prompts, sampling_params=settings, use_tqdm=False)
        return [truncate_at_eos(output.outputs[0].token_ids, self._eos) for output in outputs]


def load_model_config(path: Path) -> Any:
    """Read `config` and `generation_config` of a model without its weights."""
    from transformers import AutoConfig, GenerationConfig

    settings = GenerationConfig.from_pretrained(path) if (path / "generation_config.json").is_file() else None
    return SimpleNamespace(config=AutoConfig.from_pretrained(path), generation_config=settings)


def _vllm() -> Any:
    import importlib.util

    if importlib.util.find_spec("vllm") is None:
        raise MissingRequirement(
            "engine is vllm, which is not installed for this Python",
            remedy="Install the extra vllm in an environment of its own (docs/gpu.md), or set engine.name to hf.",
        )
    import vllm

    return vllm
