"""Which engine draws the completions."""

from typing import TYPE_CHECKING

from pipelines.training.configs import EngineConfig
from pipelines.training.generation.engine import Engine
from pipelines.training.runtime import Runtime

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def make_engine(
    config: EngineConfig, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase", runtime: Runtime
) -> Engine:
    """The engine a config names; `auto` is the row-dropping loop on a CPU and HF generate on a GPU."""
    name = config.name
    if name == "auto":
        name = "dropping" if runtime.device.type == "cpu" else "hf"
    if name == "dropping":
        from pipelines.training.generation.dropping import DroppingEngine

        return DroppingEngine(model, tokenizer, runtime, config.batch)
    if name == "hf":
        from pipelines.training.generation.hf import HFEngine

        return HFEngine(model, tokenizer, runtime, config.batch)
    from pipelines.training.generation.vllm import VLLMEngine

    return VLLMEngine(model, tokenizer, config.vllm)
