"""Summary of a finished `ppo` stage, computed from its metrics."""

from collections.abc import Sequence
from typing import Any, Final

from pipelines.folder import StageFolder
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.rl.health import health_warnings

WINDOW: Final = 5
"""Most steps at either end over which `reward_first` and `reward_last` are averaged."""


def summarise_training(folder: StageFolder, config: PPOConfig) -> dict[str, Any]:
    """Return first and last mean reward and accuracy before and after, each with its number of rollouts.

    `reward_first` and `reward_last` are means over the first and last `reward_steps` steps, `reward_n` rollouts each.
    `accuracy_before` and `accuracy_after` are means over `accuracy_n` completions of test problems, and missing
    without evaluations.
    """
    train = read_metrics(folder, "train")
    tests = read_metrics(folder, "eval")
    steps = sorted(train)
    window = max(1, min(WINDOW, len(steps) // 4))
    result: dict[str, Any] = {
        "steps": config.steps,
        "rollouts": len(steps) * config.prompts * config.rollouts,
        "reward_first": _mean([train[step]["reward"] for step in steps[:window]]),
        "reward_last": _mean([train[step]["reward"] for step in steps[-window:]]),
        "reward_steps": window,
        "reward_n": window * config.prompts * config.rollouts,
        "warnings": health_warnings(train),
    }
    if 0 in tests and config.steps in tests:
        result |= {
            "accuracy_before": tests[0]["accuracy"],
            "accuracy_after": tests[config.steps]["accuracy"],
            "accuracy_n": int(tests[0]["n"]),
        }
    return result


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
