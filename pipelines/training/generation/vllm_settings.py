"""What vLLM is started and asked with: arguments of the engine, of each request, and the checks before a start."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.training.core.engine_configs import SamplingConfig, VLLMConfig
from pipelines.training.core.model import max_positions
from pipelines.training.core.runtime import Runtime, world_size
from pipelines.training.generation.engine import GenerationRequest
from pipelines.training.generation.in_process import eos_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TESTED_MINORS: Final = ("0.31", "0.32", "0.33")
"""Minor versions of vLLM whose signatures were read; `tests/vllm` runs against 0.32."""
_BATCHED_TOKENS: Final = 4096
"""Tokens of a step of an engine that shares its GPU with training: vLLM reserves memory for a step of this size, and
its default of 32,768 would take the memory of the cache."""


class VLLMModel(NamedTuple):
    """What vLLM needs to know of a model before it is started."""

    path: Path
    """The folder vLLM reads; weights that training changed are loaded over them."""
    eos: frozenset[int]
    """Ids that end a completion."""
    vocabulary: int | None
    """Rows of the embedding."""
    max_sequence: int
    """Most tokens of a prompt and its completion."""


def vllm_model(path: Path, model: Any, tokenizer: "PreTrainedTokenizerBase", longest: int) -> VLLMModel:
    """Describe a model for vLLM.

    Args:
        path: the model's folder.
        model: has `config` and `generation_config`: the model itself, or what `load_model_config` returns.
        tokenizer: of the model.
        longest: most tokens that the config allows for a prompt and its completion. vLLM refuses a limit beyond the
            model's positions, so it is capped at them; prompts are checked against the positions one by one.
    """
    positions = max_positions(model)
    return VLLMModel(
        path=path,
        eos=frozenset(eos_token_ids(model, tokenizer)),
        vocabulary=getattr(model.config, "vocab_size", None),
        max_sequence=longest if positions is None else min(longest, positions),
    )


def load_model_config(path: Path) -> Any:
    """Read `config` and `generation_config` of a model without its weights."""
    from transformers import AutoConfig, GenerationConfig

    settings = GenerationConfig.from_pretrained(path) if (path / "generation_config.json").is_file() else None
    return SimpleNamespace(config=AutoConfig.from_pretrained(path), generation_config=settings)


def engine_arguments(model: VLLMModel, config: VLLMConfig, runtime: Runtime, *, shared: bool) -> dict[str, Any]:
    """Return the arguments of vLLM's engine, by their names in `vllm.LLM`.

    Args:
        model: the model.
        config: settings of vLLM.
        runtime: number type and device of the stage, which vLLM takes over.
        shared: whether the engine shares its device with training.
    """
    arguments: dict[str, Any] = {
        "model": str(model.path),
        "dtype": str(runtime.compute).removeprefix("torch."),
        "max_model_len": model.max_sequence,
        "tensor_parallel_size": config.tensor_parallel,
        "gpu_memory_utilization": config.gpu_memory,
        # Of the distribution that tokens are sampled from: after temperature, top_k and top_p.
        "logprobs_mode": "processed_logprobs",
        # Not the model's own generation config: that of a hub model may set top_p = 0.8 or a repetition penalty.
        "generation_config": "vllm",
        # A compiled graph takes a minute of a CPU to build and makes nothing faster there.
        "enforce_eager": runtime.device.type == "cpu",
    }
    if shared:
        arguments["max_num_batched_tokens"] = max(_BATCHED_TOKENS, model.max_sequence)
    return arguments


def request_arguments(request: GenerationRequest, sampling: SamplingConfig, eos: frozenset[int]) -> dict[str, Any]:
    """Return the sampling of one request, by the names of `vllm.SamplingParams`, which its server takes too."""
    return {
        "n": 1,
        "seed": request.seed,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_tokens": sampling.max_new_tokens,
        "stop_token_ids": sorted(eos),
        "logprobs": 0,
    }


def check_tokens(requests: Sequence[GenerationRequest], model: VLLMModel) -> None:
    """Refuse prompts with tokens that the model's embedding lacks; vLLM would end with an error of an index.

    Raises:
        InvalidInput: names the token.
    """
    if model.vocabulary is None:
        return
    largest = max((max(request.prompt) for request in requests), default=0)
    if largest >= model.vocabulary:
        raise InvalidInput(
            f"a prompt contains token {largest}, and the model has embeddings for {model.vocabulary} tokens",
            remedy="The tokenizer is larger than the model's embedding: use the tokenizer that belongs to the model.",
        )


def check_vllm(config: VLLMConfig, runtime: Runtime) -> None:
    """Check before a start what vLLM would refuse late or with a bare traceback.

    Raises:
        MissingRequirement: vLLM is not installed for this Python.
        InvalidInput: a setting cannot work here.
    """
    if find_spec("vllm") is None:
        raise MissingRequirement(
            "engine is vllm, which is not installed for this Python",
            remedy="Install the extra vllm in an environment of its own (docs/gpu.md), or set engine.name to hf.",
        )
    if config.sleep and runtime.device.type == "cpu":
        raise InvalidInput(
            "engine.vllm.sleep frees GPU memory, and this stage computes on a CPU",
            remedy="Leave engine.vllm.sleep out.",
        )
    found = _installed_version()
    if found and ".".join(found.split(".")[:2]) not in TESTED_MINORS:
        sys.stderr.write(f"warning: vLLM {found} is installed; the engine was written for {', '.join(TESTED_MINORS)}\n")


def check_tensor_parallel(config: VLLMConfig) -> None:
    """Refuse a colocated engine whose groups do not divide the processes of the stage.

    Raises:
        InvalidInput: names both numbers.
    """
    processes = world_size()
    if processes % config.tensor_parallel:
        raise InvalidInput(
            f"engine.vllm.tensor_parallel is {config.tensor_parallel}, which does not divide the {processes} "
            f"process{'es' if processes > 1 else ''} of this stage",
            remedy="A colocated engine is split over processes of the stage: set processes in its resources to a "
            "multiple of engine.vllm.tensor_parallel.",
        )


def set_environment(runtime: Runtime, *, in_process: bool) -> None:
    """Set the variables that vLLM reads; those a user has set stay.

    Args:
        runtime: of the stage.
        in_process: whether the engine runs in this process instead of one of its own.
    """
    wanted = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",  # a stage's stdout is for its result
    }
    if runtime.device.type == "cpu":
        wanted |= {"VLLM_CPU_KVCACHE_SPACE": "1"}
        if in_process:  # vLLM would bind the threads of the training process to cores, those of every process to one
            wanted |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    if in_process:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"


def _installed_version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""
