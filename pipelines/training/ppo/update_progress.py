"""How far the update of a step is, so that a stop in the middle of it loses less than one optimizer step.

A checkpoint between two optimizer steps also has the rollouts, the estimates from before the update, and the sums of
the metrics. None of them could be computed again, because the weights have changed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import torch
from torch import Tensor

from pipelines.records import Rollout
from pipelines.training.ppo.batch import RolloutEstimates
from pipelines.training.rl.ranks import Ranks
from pipelines.training.sampling.rollouts import SampledRollout

METRIC_SUMS: Final = 5
"""Number of sums that an update keeps for its metrics."""

_ESTIMATES: Final = ("log_probs", "reference", "values", "entropy")


def _no_sums() -> Tensor:
    return torch.zeros(METRIC_SUMS, dtype=torch.float64)


@dataclass(slots=True)
class UpdateProgress:
    """How far the update of a step is after its last optimizer step."""

    estimates: RolloutEstimates | None = None
    """Estimates from before the update; None until they are computed."""
    optimizer_steps: int = 0
    """Optimizer steps taken, those of both networks with one mini-batch counted once."""
    total: int = 0
    """Optimizer steps of the whole update; 0 until it is known."""
    sums: Tensor = field(default_factory=_no_sums)
    """Sums over this process's tokens for the metrics, (5,), float64."""
    norms: dict[str, list[float]] = field(default_factory=lambda: {"actor": [], "critic": []})
    """Norms of the gradients of each network, by optimizer step."""

    def share(self) -> float:
        """Return the part of the update that is done, from 0 to 1."""
        return self.optimizer_steps / self.total if self.total else 0.0


class UpdateStopped(Exception):
    """A stop was requested in the middle of an update; the gradients of the unfinished mini-batch are dropped."""


@dataclass(frozen=True, slots=True)
class UnfinishedStep:
    """A step whose rollouts are sampled and whose update is not finished."""

    rollouts: Sequence[SampledRollout]
    progress: UpdateProgress
    generate_s: float
    """Seconds that sampling took."""
    update_s: float
    """Seconds that the update took so far."""

    def state(self, ranks: Ranks) -> dict[str, Any]:
        """Return it as plain values and tensors, for a checkpoint. Every process must call it."""
        progress, estimates = self.progress, self.progress.estimates
        return {
            "rollouts": [json.dumps(each.rollout.model_dump(mode="json")) for each in self.rollouts],
            "prompts": [list(each.prompt) for each in self.rollouts],
            "completions": [list(each.completion) for each in self.rollouts],
            "sampler_log_probs": [None if each.log_probs is None else list(each.log_probs) for each in self.rollouts],
            "generate_s": self.generate_s,
            "update_s": self.update_s,
            "optimizer_steps": progress.optimizer_steps,
            "norms": {name: list(norms) for name, norms in progress.norms.items()},
            "sums": torch.stack(ranks.all_gather([progress.sums])),
            "estimates": None if estimates is None else {name: getattr(estimates, name) for name in _ESTIMATES},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], ranks: Ranks) -> "UnfinishedStep":
        """Return it from what `state` returned, also in another number of processes."""
        rollouts = [
            SampledRollout(
                Rollout.model_validate(json.loads(rollout)),
                tuple(prompt),
                tuple(completion),
                None if log_probs is None else tuple(log_probs),
            )
            for rollout, prompt, completion, log_probs in zip(
                state["rollouts"], state["prompts"], state["completions"], state["sampler_log_probs"], strict=True
            )
        ]
        sums = state["sums"]
        mine = sums[ranks.rank] if len(sums) == ranks.size else sums.sum(dim=0) if ranks.rank == 0 else _no_sums()
        estimates = state["estimates"]
        progress = UpdateProgress(
            estimates=None if estimates is None else RolloutEstimates(**estimates),
            optimizer_steps=int(state["optimizer_steps"]),
            sums=mine.clone(),
            norms={name: list(norms) for name, norms in state["norms"].items()},
        )
        return cls(rollouts, progress, float(state["generate_s"]), float(state["update_s"]))
