"""Rewards that know nothing of the right answer, for experiments on what the reward contributes.

Source of the idea: Shao et al. 2025, "Spurious Rewards", arXiv 2506.10947.
"""

import random
from dataclasses import replace

from pipelines.training.core.configs import PPOConfig
from pipelines.training.sampling.rollouts import SampledRollout


def replace_reward(sampled: SampledRollout, config: PPOConfig) -> SampledRollout:
    """Return the rollout with the reward that the config trains on; `meta` keeps the exact one.

    A random reward follows from the stage's seed and the rollout's id, so a repeated step has the same rewards.

    Args:
        sampled: a training rollout with its exact reward.
        config: of the stage.
    """
    if config.reward == "exact":
        return sampled
    rollout = sampled.rollout
    if config.reward == "random":
        drawn = random.Random(f"reward {config.seed} {rollout.id}").random()
        reward = float(drawn < config.random_reward)
    else:
        reward = float(rollout.answer is not None)
    meta = rollout.meta | {"trained_on": config.reward, "exact_reward": rollout.reward}
    return replace(sampled, rollout=rollout.model_copy(update={"reward": reward, "meta": meta}))
