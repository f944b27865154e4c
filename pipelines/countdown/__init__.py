"""The Countdown task: problems, exact solver, expression parser, reward and prompts. Light: no torch, no numpy."""

from pipelines.tasks.countdown.reward import PUBLISHED, RewardRules, Score, score_completion

__all__ = ["PUBLISHED", "RewardRules", "Score", "score_completion"]
