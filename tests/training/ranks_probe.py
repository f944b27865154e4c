"""What two processes do together, run by torchrun from test_ranks.py: `ranks_probe.py OUT PROBLEMS BASE`."""

import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipelines import signals
from pipelines.errors import Interrupted, StageFailed
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.training.core.checkpoint import UNFINISHED
from pipelines.training.core.model import gather_parameters
from pipelines.training.generation.inference_copy import copy_weights
from pipelines.training.ppo import networks
from pipelines.training.ppo.batch import RolloutBatch
from pipelines.training.ppo.fsdp import connect_ranks
from pipelines.training.ppo.sharded_checkpoint import ShardedTrainingCheckpoint
from pipelines.training.ppo.trainer import PPOTrainer
from pipelines.training.stages.ppo import build_trainer
from tests.training.helpers import CPU, PAD, PPO, tiny_model, trainer_of
from tests.training.test_batch import ROWS

RANK = int(os.environ["RANK"])
SHARDED = PPO | {"sharding": "fsdp"}
UPDATE: dict[str, Any] = {"mini_batch": 3, "micro_batch": 1, "epochs": 2, "kl": 0.1}
"""Three rows, then one: neither divides by two, so that a process must wait or pass rows for nothing."""

STOPPED_AT = 4
"""The first backward pass of step 2: each step has two, one an optimizer step."""


def sharded() -> PPOTrainer:
    """A trainer whose networks are sharded over both processes."""
    return build_trainer(trainer_of(tiny_model(), **UPDATE).config, tiny_model(), CPU, connect_ranks(CPU))


def whole(module: Any) -> dict[str, torch.Tensor]:
    """The weights of a module, gathered."""
    return {name: value.clone() for name, value in gather_parameters(module)}


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest difference between two sets of weights."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def compare_updates() -> dict[str, Any]:
    """The same updates by both processes together and by each alone."""
    together, alone = sharded(), trainer_of(tiny_model(), **UPDATE)
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    metrics = []
    for step in range(3):
        vars(networks)["LOGITS_BYTES"] = 2 * 4 * 12  # logits of two tokens at once
        shared = together.update(batch, step)
        vars(networks)["LOGITS_BYTES"] = 512 * 2**20
        metrics.append((shared, alone.update(batch, step)))
    shards = [parameter.to_local().numel() for parameter in together.policy.parameters()]
    copy = tiny_model(seed=9)
    copy_weights(together.policy.model, copy)
    view = dict(gather_parameters(together.policy.model))  # what vLLM loads
    return {
        "policy": furthest(whole(together.policy), whole(alone.policy)),
        "critic": furthest(whole(together.value_network), whole(alone.value_network)),
        "reference": furthest(whole(together.reference), whole(alone.reference)),
        "moved": furthest(whole(alone.policy), whole(alone.reference)),
        "metrics": metrics,
        "share": sum(shards) / sum(parameter.numel() for parameter in alone.policy.parameters()),
        "copy": furthest(dict(copy.named_parameters()), whole(together.policy.model)),
        "view": furthest(view, whole(together.policy.model)),
    }


def compare_resumed(out: Path) -> dict[str, Any]:
    """Updates after a save and a reload against those without."""
    folder = StageFolder(out)
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    first = sharded()
    first.update(batch, 0)
    ShardedTrainingCheckpoint(folder, first.networks(), first.ranks).save(1)
    second = sharded()
    step = ShardedTrainingCheckpoint(folder, second.networks(), second.ranks).resume()
    metrics = [first.update(batch, 1), second.update(batch, 1)]
    return {
        "step": step,
        "policy": furthest(whole(first.policy), whole(second.policy)),
        "critic": furthest(whole(first.value_network), whole(second.value_network)),
        "metrics": metrics,
    }


class Killed(BaseException):
    """Nothing in a stage catches this."""


def run_ppo(out: Path, inputs: list[Path], *, killed_at: int | None = None) -> None:
    """The stage, or with `killed_at` until that step and then again, as after a crash of all processes.

    The killed one recomputes its activations, which must not show.
    """
    ranks = connect_ranks(CPU)
    if RANK == 0:
        prepare("ppo", SHARDED | {"recompute": killed_at is not None}, out, inputs, base=out.parent)
    ranks.barrier()
    if killed_at is not None:
        update: Callable[..., Any] = PPOTrainer.update

        def dying(self: PPOTrainer, batch: RolloutBatch, step: int, *rest: Any, **named: Any) -> dict[str, float]:
            if step == killed_at:
                raise Killed
            return dict(update(self, batch, step, *rest, **named))

        PPOTrainer.update = dying  # type: ignore[method-assign]
        with contextlib.suppress(Killed):
            run_stage(StageFolder(out))
        PPOTrainer.update = update  # type: ignore[method-assign]
        ranks.barrier()
    run_stage(StageFolder(out))


def stop_and_resume(out: Path, inputs: list[Path]) -> int:
    """The stage with a stop signal to the second process, in the middle of an update, and then again.

    Returns:
        The step of the checkpoint in between, negative if it was not taken in the middle of a step.
    """
    ranks = connect_ranks(CPU)
    backward: Callable[..., Any] = PPOTrainer._backward
    calls = iter(range(1_000_000))

    def stopping(self: PPOTrainer, *given: Any) -> Any:
        if next(calls) == STOPPED_AT and RANK == 1:
            signal.raise_signal(signal.SIGUSR2)
        return backward(self, *given)

    signals.install()
    PPOTrainer._backward = stopping  # type: ignore[method-assign,assignment]
    with contextlib.suppress(Interrupted):
        run_ppo(out, inputs)
    PPOTrainer._backward = backward  # type: ignore[method-assign]
    signals.install()  # forgets the stop
    step, path = StageFolder(out).checkpoints()[-1]
    within = (path / UNFINISHED).exists()
    ranks.barrier()
    run_ppo(out, inputs)
    return step if within else -step


def fail(out: Path, inputs: list[Path]) -> None:
    """The stage with a second process that fails in its second step, while the first waits for it."""
    update: Callable[..., Any] = PPOTrainer.update

    def failing(self: PPOTrainer, batch: RolloutBatch, step: int, *rest: Any, **named: Any) -> dict[str, float]:
        if RANK == 1 and step == 1:
            raise StageFailed("the second process failed")
        return dict(update(self, batch, step, *rest, **named))

    PPOTrainer.update = failing  # type: ignore[method-assign]
    run_ppo(out, inputs)


def main() -> None:
    """Everything into OUT: `found.json` and stage folders."""
    out, *inputs = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    if os.environ.get("PROBE") == "fail":
        fail(out / "failed", inputs)
        return
    found = {"updates": compare_updates(), "resumed": compare_resumed(out / "saved")}
    run_ppo(out / "undisturbed", inputs)
    run_ppo(out / "killed", inputs, killed_at=3)
    found["stopped"] = {"step": stop_and_resume(out / "stopped", inputs)}
    if RANK == 0:
        (out / "found.json").write_text(json.dumps(found))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
