"""Kept for code that imports the reward from here; the Countdown task is in `pipelines.tasks.countdown`."""

from pipelines.tasks.countdown.reward import PUBLISHED, RewardRules, score_completion
from pipelines.tasks.protocol import Score

__all__ = ["PUBLISHED", "RewardRules", "Score", "score_completion"]
