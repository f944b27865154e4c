"""The PPO update of a step: estimates for a batch, advantages, then mini-batches of policy and value losses."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from pipelines.errors import StageFailed
from pipelines.training.core.checkpoint import Stateful
from pipelines.training.core.configs import OptimizerConfig, PPOConfig
from pipelines.training.core.runtime import Runtime, less_memory, memory_guard
from pipelines.training.ppo.advantages import explained_variance, gae, token_rewards, whiten
from pipelines.training.ppo.batch import MICRO_BATCH_TOKENS, MicroBatch, RolloutBatch, RolloutEstimates
from pipelines.training.ppo.importance import importance_weights, log_ratios, sampler_metrics
from pipelines.training.ppo.losses import policy_loss, value_loss
from pipelines.training.ppo.networks import PolicyNetwork, ValueNetwork
from pipelines.training.ppo.update_progress import UpdateProgress, UpdateStopped
from pipelines.training.rl.ranks import Ranks, shard_items


class OptimizedNetwork:
    """A network with its AdamW optimizer and learning-rate schedule."""

    def __init__(self, network: nn.Module, config: OptimizerConfig, max_grad_norm: float) -> None:
        self.network = network
        self.optimizer = torch.optim.AdamW(
            network.parameters(),
            lr=config.learning_rate,
            betas=config.betas,
            eps=config.eps,
            weight_decay=config.weight_decay,
        )
        warmup = config.warmup_steps
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda done: min(1.0, (done + 1) / (warmup + 1))
        )
        self._max_grad_norm = max_grad_norm

    def step(self, name: str) -> float:
        """Take an optimizer step on the accumulated gradients; return their norm before clipping.

        Raises:
            StageFailed: the gradients are not finite; the weights are untouched.
        """
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._max_grad_norm)
        length = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        if not math.isfinite(length):
            raise StageFailed(
                f"the gradient of the {name} is not finite",
                detail="The last checkpoint is intact; the stage continues from it.",
                remedy=f"Lower {name}.learning_rate, or compute in float32.",
            )
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        return length


@dataclass(frozen=True, slots=True)
class _Learning:
    """What a batch is learnt from; tensors are (rollouts, completion)."""

    old: RolloutEstimates
    advantages: Tensor
    returns: Tensor
    weights: Tensor | None
    """Importance weights of the policy loss; None weights all tokens alike."""
    actor: bool
    """Whether the policy is updated, and not the critic alone."""


def _stop_if(stopping: Callable[[], bool]) -> None:
    if stopping():
        raise UpdateStopped


@dataclass(slots=True)
class PPOTrainer:
    """Policy, critic and reference of a stage, and the update of policy and critic on a batch."""

    config: PPOConfig
    actor: OptimizedNetwork
    critic: OptimizedNetwork
    reference: PolicyNetwork | None
    runtime: Runtime
    ranks: Ranks

    @property
    def policy(self) -> PolicyNetwork:
        """The policy network of the actor."""
        network = self.actor.network
        assert isinstance(network, PolicyNetwork)
        return network

    @property
    def value_network(self) -> ValueNetwork:
        """The value network of the critic."""
        network = self.critic.network
        assert isinstance(network, ValueNetwork)
        return network

    def networks(self) -> dict[str, OptimizedNetwork]:
        """Return the trained networks with their optimizers, by name."""
        return {"actor": self.actor, "critic": self.critic}

    def checkpoint_parts(self) -> dict[str, Stateful]:
        """Return the states of an unsharded checkpoint, by file name."""
        return {
            "actor": self.actor.network,
            "actor_optimizer": self.actor.optimizer,
            "actor_schedule": self.actor.schedule,
            "critic": self.critic.network,
            "critic_optimizer": self.critic.optimizer,
            "critic_schedule": self.critic.schedule,
        }

    def update(
        self,
        batch: RolloutBatch,
        step: int,
        progress: UpdateProgress | None = None,
        *,
        stopping: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """Update policy and critic on the rollouts of one step; return its metrics.

        Args:
            batch: the rollouts.
            step: number of the step.
            progress: how far an earlier start came with this update; kept up to date.
            stopping: whether to stop, asked before each micro-batch in all processes.

        Raises:
            UpdateStopped: `stopping` was true; `progress` says what was done.
            StageFailed: out of memory, or gradients that are not finite.
        """
        config = self.config
        progress = UpdateProgress() if progress is None else progress
        if progress.estimates is None:
            progress.estimates = self.estimate(batch, step, stopping=stopping)
        estimates = progress.estimates
        divergence = torch.zeros_like(estimates.log_probs)
        if estimates.reference is not None:
            divergence = estimates.log_probs - estimates.reference
        rewards = token_rewards(batch.scores, divergence, batch.mask, config.kl)
        advantages, returns = gae(rewards, estimates.values, batch.mask, config.gamma, config.lam)
        metrics = {"entropy": float(estimates.entropy[batch.mask].mean())}
        if estimates.reference is not None:
            metrics["kl"] = float(divergence[batch.mask].mean())
        weights, mismatch = self._importance(batch, estimates)
        metrics |= mismatch
        explained = explained_variance(returns, estimates.values, batch.mask)
        if explained is not None:
            metrics["explained_variance"] = explained
        if config.whiten:
            advantages = whiten(advantages, batch.mask)
        warming = step < config.critic_warmup_steps
        # Equal rewards do not tell which completion is better; whitening would only amplify the critic's errors.
        equal = bool((batch.scores == batch.scores[0]).all())
        metrics["updated"] = float(not warming and not equal)
        metrics["equal_rewards"] = float(equal)
        epochs = config.critic_warmup_epochs if warming else config.epochs
        learns = not warming and not equal
        learning = _Learning(estimates, advantages, returns, weights, actor=learns)
        return metrics | self._learn(batch, learning, progress, step=step, epochs=epochs, stopping=stopping)

    def _importance(self, batch: RolloutBatch, estimates: RolloutEstimates) -> tuple[Tensor | None, dict[str, float]]:
        """Return the importance weights of a batch, None where none are wanted, and the metrics of the mismatch."""
        if batch.sampler_log_probs is None:
            return None, {}
        level, cap = self.config.importance_level(), self.config.importance_sampling.cap
        ratios = log_ratios(estimates.log_probs, batch.sampler_log_probs, batch.mask)
        compared: Literal["token", "sequence"] = "sequence" if level == "sequence" else "token"
        metrics = sampler_metrics(ratios, batch.mask, compared, cap)
        return (None if level == "none" else importance_weights(ratios, level, cap)), metrics

    def estimate(
        self, batch: RolloutBatch, step: int, *, stopping: Callable[[], bool] = lambda: False
    ) -> RolloutEstimates:
        """Compute log-probabilities, values and entropies of a batch under the current networks.

        Raises:
            UpdateStopped: `stopping` was true before a micro-batch.
        """
        found = [torch.zeros(batch.mask.shape) for _ in range(4)]
        log_probs, reference, values, entropy = found
        with torch.no_grad():
            for rows, counted in self._shared(batch, range(len(batch))):
                _stop_if(stopping)
                micro_batch = batch.micro_batch(rows, self.runtime.device)
                with self._guard(micro_batch, step), self.runtime.autocast():
                    chosen, spread = self.policy(*self._inputs(micro_batch))
                    expected = self.reference(*self._inputs(micro_batch))[0] if self.reference is not None else None
                    valued = self.value_network(micro_batch.ids, micro_batch.target_mask)
                if counted:
                    micro_batch.scatter(log_probs, chosen)
                    micro_batch.scatter(entropy, spread)
                    micro_batch.scatter(values, valued)
                    if expected is not None:
                        micro_batch.scatter(reference, expected)
        log_probs, reference, values, entropy = (self.ranks.all_reduce_sum(each) for each in found)
        return RolloutEstimates(log_probs, reference if self.reference is not None else None, values, entropy)

    def _learn(
        self,
        batch: RolloutBatch,
        learning: "_Learning",
        progress: UpdateProgress,
        *,
        step: int,
        epochs: int,
        stopping: Callable[[], bool],
    ) -> dict[str, float]:
        tokens = epochs * int(batch.lengths.sum())
        sums, norms = progress.sums.clone(), progress.norms
        mini_batches = self._mini_batches(batch, learning, step=step, epochs=epochs)
        progress.total = len(mini_batches)
        for number, (rows, networks) in enumerate(mini_batches):
            if number < progress.optimizer_steps:
                continue
            n = int(batch.lengths[rows].sum())
            for part, counted in self._shared(batch, rows):
                _stop_if(stopping)
                micro_batch = batch.micro_batch(part, self.runtime.device)
                # Sharded gradients are averaged over the processes, but each holds only its share of the sum.
                weight = self.ranks.size / n if counted else 0.0
                with self._guard(micro_batch, step):
                    found = self._backward(micro_batch, learning, weight, networks)
                if counted:
                    sums += found
            for name in networks:
                norms[name].append(self.networks()[name].step(name))
            progress.optimizer_steps, progress.sums = number + 1, sums.clone()
        policy, clipped, policy_change, value, value_clipped = (self.ranks.all_reduce_sum(sums) / tokens).tolist()
        metrics = {
            "value_loss": value,
            "value_clip_fraction": value_clipped,
            "critic_grad_norm": sum(norms["critic"]) / len(norms["critic"]),
        }
        if learning.actor:
            metrics |= {
                "policy_loss": policy,
                "clip_fraction": clipped,
                "policy_change": policy_change,
                "actor_grad_norm": sum(norms["actor"]) / len(norms["actor"]),
            }
        return metrics

    def _mini_batches(
        self, batch: RolloutBatch, learning: "_Learning", *, step: int, epochs: int
    ) -> list[tuple[list[int], tuple[str, ...]]]:
        """Return the rows of each optimizer step of an update, and the networks it updates."""
        found = []
        for epoch in range(epochs):
            order = np.random.default_rng([self.config.seed, step, epoch]).permutation(len(batch)).tolist()
            for size, networks in self._passes(learning):
                for start in range(0, len(order), size):
                    found.append((order[start : start + size], networks))
        return found

    def _passes(self, learning: "_Learning") -> list[tuple[int, tuple[str, ...]]]:
        """Return the passes over a batch in one epoch: rollouts per optimizer step, and the networks it updates.

        Networks with equal mini-batches are updated in one pass, so that each micro-batch is made once. Otherwise the
        critic comes first, as in the published runs.
        """
        sizes = {"critic": self.config.mini_batch_of("critic")}
        if learning.actor:
            sizes["actor"] = self.config.mini_batch_of("actor")
        if len(set(sizes.values())) == 1:
            return [(sizes["critic"], tuple(sizes))]
        return [(size, (name,)) for name, size in sizes.items()]

    def _backward(
        self, micro_batch: MicroBatch, learning: "_Learning", scale: float, networks: Sequence[str]
    ) -> Tensor:
        """Accumulate a micro-batch's gradients, times `scale`; return sums over its tokens for the metrics.

        Returns:
            Policy loss, clipped tokens, divergence, value loss, tokens with a clipped value: (5,), float64; zero for a
            network that is not among `networks`.
        """
        config, old = self.config, learning.old
        sums = torch.zeros(5, dtype=torch.float64)
        if "actor" in networks:
            with self.runtime.autocast():
                log_probs, entropy = self.policy(*self._inputs(micro_batch))
            found = policy_loss(
                log_probs,
                micro_batch.gather(old.log_probs),
                micro_batch.gather(learning.advantages),
                entropy,
                clip=config.clip,
                bonus=config.entropy,
                weights=None if learning.weights is None else micro_batch.gather(learning.weights),
            )
            (found.loss * scale).backward()
            sums[:3] = torch.stack([found.loss.detach(), found.clipped, found.divergence]).double().cpu()
        if "critic" in networks:
            with self.runtime.autocast():
                values = self.value_network(micro_batch.ids, micro_batch.target_mask)
            loss, clipped = value_loss(
                values, micro_batch.gather(old.values), micro_batch.gather(learning.returns), clip=config.value_clip
            )
            (loss * scale).backward()
            sums[3:] = torch.stack([loss.detach(), clipped]).double().cpu()
        return sums

    def _inputs(self, micro_batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor, float]:
        return micro_batch.ids, micro_batch.target_mask, micro_batch.targets, self.config.sampling.temperature

    def _shared(self, batch: RolloutBatch, rows: Iterable[int]) -> list[tuple[list[int], bool]]:
        """Group this process's share of some rows into micro-batches, each with whether it counts.

        A pass through a sharded model needs all processes. A process with fewer micro-batches than another repeats
        its shortest row, which then does not count.
        """
        ordered = sorted(rows, key=lambda row: (-int(batch.lengths[row] + batch.prompt_lengths[row]), row))
        tokens = MICRO_BATCH_TOKENS[self.runtime.device.type]
        shares = [
            batch.group_rows(shard_items(ordered, self.ranks, rank=rank), self.config.micro_batch, tokens=tokens)
            for rank in range(self.ranks.size)
        ]
        mine = shares[self.ranks.rank]
        missing = max(map(len, shares)) - len(mine)
        return [(micro_batch, True) for micro_batch in mine] + [([ordered[-1]], False)] * missing

    def _guard(self, micro_batch: MicroBatch, step: int) -> AbstractContextManager[None]:
        rows, width = micro_batch.ids.shape
        return memory_guard(
            f"PPO step {step}, a micro-batch of {rows} rollouts × {width} tokens",
            less_memory(rows // 2, recompute=self.config.recompute)
            or "Lower sampling.max_new_tokens, or shard the stage over more GPUs.",
        )
