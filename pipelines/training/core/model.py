"""Causal language models: building from a config, loading, saving in the Hugging Face layout."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.training.core.configs import ArchitectureConfig

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def build_model(architecture: ArchitectureConfig, tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedModel":
    """Build a model with random weights from torch's global generator."""
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": architecture.hidden_size,
        "intermediate_size": architecture.intermediate_size,
        "num_hidden_layers": architecture.layers,
        "num_attention_heads": architecture.heads,
        "num_key_value_heads": architecture.kv_heads or architecture.heads,
        "max_position_embeddings": architecture.max_positions,
        "initializer_range": architecture.initializer_range or architecture.hidden_size**-0.5,
        "tie_word_embeddings": architecture.tie_embeddings,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if architecture.family == "llama":
        from transformers import LlamaConfig, LlamaForCausalLM

        return LlamaForCausalLM(LlamaConfig(**shape))
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**shape))


def load_model(path: Path | str, revision: str | None = None, *, as_stored: bool = False) -> "PreTrainedModel":
    """Load a causal language model to the CPU.

    Args:
        path: folder or hub id.
        revision: of a hub model.
        as_stored: keep the number type of the files; otherwise weights become float32.

    Raises:
        InvalidInput: no model there, or damaged files.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    dtype = "auto" if as_stored else torch.float32
    try:
        return AutoModelForCausalLM.from_pretrained(str(path), revision=revision or "main", dtype=dtype)
    except (OSError, ValueError, SafetensorError) as error:
        raise InvalidInput(f"no model can be read from {path}", detail=str(error)) from error


def gather_parameters(model: Any) -> Iterator[tuple[str, "torch.Tensor"]]:
    """Iterate over names and full values of a model's parameters, tied ones once, one in memory at a time.

    If the model is sharded this is a collective operation: every process must iterate to the end.
    """
    for name, parameter in model.named_parameters():
        value = parameter.detach()
        yield name, value.full_tensor() if hasattr(value, "full_tensor") else value


def count_parameters(model: "PreTrainedModel") -> int:
    """Count the parameters, tied ones once."""
    return sum(parameter.numel() for parameter in model.parameters())


def max_positions(model: "PreTrainedModel") -> int | None:
    """Return the longest sequence the model supports, in tokens; None if its config does not say."""
    found = getattr(model.config, "max_position_embeddings", None)
    return None if found is None else int(found)


def save_model(
    folder: StageFolder,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
) -> Path:
    """Write `artifacts/model`, which appears by rename; return its path.

    Args:
        folder: of the stage.
        model: converted in place where `dtype` asks for it.
        tokenizer: of the model.
        dtype: `bfloat16` converts to it; `float32` leaves the weights as they are.
    """
    if dtype == "bfloat16":
        import torch

        model = model.to(torch.bfloat16)
    final = folder.artifacts / "model"
    aside = folder.artifacts / f".model.{os.getpid()}.tmp"
    shutil.rmtree(aside, ignore_errors=True)
    model.save_pretrained(aside)
    tokenizer.save_pretrained(aside)
    if final.exists():
        shutil.rmtree(final)
    aside.rename(final)
    return final
