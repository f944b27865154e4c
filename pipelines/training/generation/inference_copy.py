"""Generation from a sharded model, on an unsharded copy.

Each token needs every parameter, so generating on shards would gather the model once per token. The copy is filled
once per step instead, in the number type of the computation (6 GB for 3B parameters in bfloat16).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.core.model import gather_parameters
from pipelines.training.generation.engine import Completion, Engine, GenerationRequest

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def copy_weights(source: Any, target: "PreTrainedModel | None") -> None:
    """Copy the weights of a possibly sharded model into `target`; None only takes part in the collective."""
    targets = dict(target.named_parameters()) if target is not None else {}
    with torch.no_grad():
        for name, value in gather_parameters(source):
            if target is not None:
                targets[name].copy_(value)


class InferenceCopyEngine:
    """Runs another engine on an unsharded copy of a model, which receives the weights once per step."""

    def __init__(self, sharded: "PreTrainedModel", copy: "PreTrainedModel", engine: Engine) -> None:
        self.name = engine.name
        self._sharded = sharded
        self._copy = copy
        self._engine = engine
        self._synced: int | None = None

    def sync(self, step: int) -> None:
        """Gather the weights of `step` into the copy; every process must call it."""
        if self._synced != step:
            copy_weights(self._sharded, self._copy)
            self._synced = step

    def close(self) -> None:
        """Close the engine of the copy."""
        self._engine.close()

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        """Return one completion per request, in order."""
        return self._engine.generate(requests, sampling) if requests else []
