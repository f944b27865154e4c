"""Choice of the generation engine."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipelines.training.core.configs import EngineConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Engine

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def make_engine(
    config: EngineConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    runtime: Runtime,
    *,
    max_sequence: int | None = None,
    all_reduce_max: Callable[[int], int] = lambda n: n,
) -> Engine:
    """Build the engine a config names; `auto` is the row-dropping loop on a CPU and HF generate on a GPU.

    Args:
        max_sequence: most tokens of a prompt and its completion; vLLM reserves memory for one such sequence.
        all_reduce_max: returns the largest number over the processes of the stage; vLLM needs equal batches in all.
    """
    name = config.name
    if name == "auto":
        name = "dropping" if runtime.device.type == "cpu" else "hf"
    if name == "dropping":
        from pipelines.training.generation.row_dropping import RowDroppingEngine

        return RowDroppingEngine(model, tokenizer, runtime, config.batch)
    if name == "hf":
        from pipelines.training.generation.hf import HFEngine

        return HFEngine(model, tokenizer, runtime, config.batch)
    from pipelines.training.generation.vllm import SyncedVLLMEngine

    return SyncedVLLMEngine(model, tokenizer, config.vllm, max_sequence=max_sequence, all_reduce_max=all_reduce_max)
