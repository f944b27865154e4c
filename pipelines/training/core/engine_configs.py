"""Configs of sampling and of the engines that generate completions. Light: nothing here imports torch."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipelines.stages import AS_WRITTEN, UNLESS_DEFAULT
from pipelines.training.core.config_fields import (
    OUTSIDE_KEY,
    ConfigTable,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
)


class SamplingConfig(ConfigTable):
    """Sampling of completions."""

    max_new_tokens: PositiveInt = 1024
    """Most tokens of a completion, including the end-of-sequence token."""
    temperature: NonNegativeFloat = 1.0
    """Divides the logits; 0 is greedy decoding."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample from the most likely tokens whose probabilities add up to this; 1 is off."""
    top_k: NonNegativeInt = 0
    """Sample from this many most likely tokens; 0 is off."""


class VLLMConfig(ConfigTable):
    """vLLM as the engine; needs the extra `vllm`."""

    mode: Literal["colocate", "server"] = "colocate"
    """`colocate` runs vLLM in the training processes on the same GPUs; `server` in a server that the stage starts
    beside them, on the GPUs of the node that training leaves free."""
    server_url: str | None = None
    """Refused: stages that share a server would overwrite each other's weights. The stage starts its own."""
    gpu_memory: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.3, json_schema_extra=AS_WRITTEN)
    """Fraction of the GPU memory that colocated vLLM may use."""
    tensor_parallel: PositiveInt = 1
    """Number of GPUs over which each copy of the model is split."""
    sleep: bool = Field(default=False, json_schema_extra=AS_WRITTEN)
    """Whether vLLM releases its GPU memory during updates."""


class VerlConfig(ConfigTable):
    """verl as the engine of the whole `ppo` stage, generation and training, on one node or several."""

    python: str | None = Field(default=None, json_schema_extra=OUTSIDE_KEY)
    """Interpreter with verl; by default that of the stage. verl pins other versions of torch and vLLM than ours."""
    rollout: Literal["vllm", "sglang"] = "vllm"
    """verl's own engine for generation."""
    tensor_parallel: PositiveInt = 1
    """Number of GPUs over which each copy of the model is split for generation."""
    gpu_memory: Annotated[float, Field(gt=0, lt=1)] = Field(default=0.4, json_schema_extra=OUTSIDE_KEY)
    """Fraction of the GPU memory that generation may use."""
    overrides: tuple[str, ...] = ()
    """Further Hydra overrides of `verl.trainer.main_ppo`, e.g. `actor_rollout_ref.actor.strategy=fsdp2`."""


class EngineConfig(ConfigTable):
    """The engine that generates completions; with `verl` also the one that trains."""

    name: Literal["auto", "dropping", "hf", "vllm", "verl"] = "auto"
    """`dropping`: our loop that drops finished rows (`auto` on a CPU). `hf`: `model.generate` (`auto` on a GPU).
    `verl`: verl's PPO under Ray, in the place of ours (stage `ppo` only)."""
    batch: PositiveInt | None = None
    """Completions generated at once; by default all."""
    vllm: VLLMConfig = VLLMConfig()
    """Settings of vLLM."""
    verl: VerlConfig = Field(default=VerlConfig(), json_schema_extra=UNLESS_DEFAULT)
    """Settings of verl."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        """Take `engine = "verl"` as `engine.name = "verl"`."""
        return {"name": value} if isinstance(value, str) else value
