"""Choice of the generation engine."""

from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.training.core.engine_configs import EngineConfig
from pipelines.training.core.runtime import Runtime
from pipelines.training.generation.engine import Engine, ProcessGroup

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def make_engine(
    config: EngineConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    runtime: Runtime,
    *,
    path: Path,
    max_sequence: int,
    group: ProcessGroup | None = None,
) -> Engine:
    """Build the engine a config names; `auto` is the row-dropping loop on a CPU and HF generate on a GPU.

    vLLM is not started before the first `sync`, so that prompts can be checked first.

    Args:
        config: names the engine.
        model: the model in training.
        tokenizer: of the model.
        runtime: device and number type of the stage.
        path: folder the model was loaded from; vLLM reads it too.
        max_sequence: most tokens of a prompt and its completion; vLLM reserves memory for one such sequence.
        group: the processes of the stage; None if there is one.
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
    from pipelines.training.generation.vllm import ColocatedVLLMEngine
    from pipelines.training.generation.vllm_server import ServedVLLMEngine
    from pipelines.training.generation.vllm_settings import vllm_model

    described = vllm_model(path, model, tokenizer, max_sequence)
    kind = ServedVLLMEngine if config.vllm.mode == "server" else ColocatedVLLMEngine
    return kind(described, config.vllm, runtime, model, group)
