"""What TRL's GRPOTrainer is given to learn from: the stage's own rollouts with their rewards."""

import time
from typing import Any

from pipelines.training.core.configs import PPOConfig
from pipelines.training.rl.rounds import Rounds
from pipelines.training.sampling.rollouts import Drawn


class Drawing:
    """The trainer's rollout function: the completions of a step, and before them its evaluation."""

    __name__ = "draw"

    def __init__(self, config: PPOConfig, rounds: Rounds, first: int) -> None:
        self._rounds = rounds
        self._n = config.prompts * config.rollouts
        self.step = first
        """The step whose rollouts are next, or were last."""
        self.drawn: list[Drawn] = []
        self.shown: dict[str, float] = {}
        self.seconds = 0.0
        self.finished_at = 0.0

    def __call__(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """What `GRPOTrainer` asks for: token ids, and beside them the rewards."""
        assert len(prompts) == self._n
        self.shown = self._rounds.evaluate(self.step)
        began = time.perf_counter()
        self.drawn = self._rounds.draw(self.step)
        self.finished_at = time.perf_counter()
        self.seconds = self.finished_at - began
        return {
            "prompt_ids": [list(each.prompt) for each in self.drawn],
            "completion_ids": [list(each.completion) for each in self.drawn],
            "logprobs": None,
            "score": [each.reward for each in self.drawn],
        }


def reward(completions: list[Any], score: list[float], **rest: Any) -> list[float]:
    """The rewards that were given when the completions were drawn."""
    return score


def updates(config: PPOConfig) -> int:
    """Optimizer steps a step of the stage."""
    return config.prompts * config.rollouts // config.mini_batch * config.epochs
