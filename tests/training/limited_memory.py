"""`python -m pipelines` on a device with little memory: autograd may keep so many bytes a token, from step 2 on.

What autograd keeps is measured, so recomputing activations really fits where storing them does not.
"""

import sys
from typing import Any

import torch

from pipelines.__main__ import main
from pipelines.training.ppo.trainer import PPOTrainer

BYTES_A_TOKEN = 3_000
"""Between what is kept a token without recomputation (3,800 to 8,200) and with it (600 to 1,800): measured for the
model of `tests.training.helpers.BASE`."""
FIRST_STEP = 2


def limit_memory() -> None:
    """Makes `PPOTrainer` run out of memory as torch does on a GPU."""
    update, backward = PPOTrainer.update, PPOTrainer._backward
    steps: list[int] = []

    def updating(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> Any:
        steps.append(step)
        return update(self, batch, step, *rest, **named)

    def limited(self: PPOTrainer, micro_batch: Any, *rest: Any, **named: Any) -> Any:
        kept = 0
        budget = BYTES_A_TOKEN * micro_batch.ids.numel() if steps[-1] >= FIRST_STEP else 10**12

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.nbytes
            if kept > budget:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to keep {kept} of {budget} bytes")
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            return backward(self, micro_batch, *rest, **named)

    setattr(PPOTrainer, "update", updating)  # noqa: B010 - mypy takes a plain assignment for a mistake
    setattr(PPOTrainer, "_backward", limited)  # noqa: B010


if __name__ == "__main__":
    limit_memory()
    sys.exit(main(sys.argv[3:]))  # after `-m pipelines`
