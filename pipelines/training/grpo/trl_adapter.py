"""What TRL's GRPOTrainer is given to learn from: the stage's own rollouts with their rewards."""

import time
from typing import Any

from pipelines.training.core.configs import PPOConfig
from pipelines.training.rl.step_runner import RLStepRunner
from pipelines.training.sampling.rollouts import SampledRollout


class TRLRolloutAdapter:
    """The trainer's rollout function: the completions of a step, and before them its evaluation."""

    __name__ = "draw"

    def __init__(self, config: PPOConfig, runner: RLStepRunner, first: int) -> None:
        self._runner = runner
        self._n = config.prompts * config.rollouts
        self.step = first
        """The step whose rollouts are next, or were last."""
        self.rollouts: list[SampledRollout] = []
        self.evaluation: dict[str, float] = {}
        self.seconds = 0.0
        self.finished_at = 0.0

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """What `GRPOTrainer` asks for: token ids, and beside them the rewards."""
        assert len(prompts) == self._n
        self.evaluation = self._runner.evaluate(self.step)
        began = time.perf_counter()
        self.rollouts = self._runner.sample_rollouts(self.step)
        self.finished_at = time.perf_counter()
        self.seconds = self.finished_at - began
        return {
            "prompt_ids": [list(each.prompt) for each in self.rollouts],
            "completion_ids": [list(each.completion) for each in self.rollouts],
            "logprobs": None,
            "score": [each.reward for each in self.rollouts],
        }


def stored_rewards(completions: list[Any], score: list[float], **rest: Any) -> list[float]:
    """The rewards that were given when the completions were rollouts."""
    return score


def optimizer_steps_per_step(config: PPOConfig) -> int:
    """Optimizer steps a step of the stage."""
    return config.prompts * config.rollouts // config.mini_batch * config.epochs
