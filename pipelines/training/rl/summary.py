"""Summary of a finished `ppo` stage, computed from its metrics."""

from collections.abc import Sequence
from typing import Any, Final

from pipelines.errors import StageFailed
from pipelines.folder import StageFolder
from pipelines.streams import read_stream
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.rl.health import health_warnings

WINDOW: Final = 5
"""Most steps at either end over which `reward_first` and `reward_last` are averaged."""


def summarise_training(folder: StageFolder, config: PPOConfig, planned: int) -> dict[str, Any]:
    """Return first and last mean reward and accuracy before and after, each with its number of rollouts.

    `reward_first` and `reward_last` are means over the first and last `reward_steps` steps, `reward_n` rollouts each.
    `accuracy_before` and `accuracy_after` are means over `accuracy_n` completions of test problems, and missing
    without evaluations. `steps` and `rollouts` are counted on the disk.

    Args:
        folder: of the stage.
        config: of the stage.
        planned: number of distinct training rollouts of the whole stage.

    Raises:
        StageFailed: metrics or rollouts of the stage are missing on the disk.
    """
    train = read_metrics(folder, "train")
    rollouts = _count_rollouts(folder, "train")
    if len(train) < config.steps or rollouts < planned:
        raise StageFailed(
            f"records of this stage are missing on the disk: it holds metrics of {len(train)} of {config.steps} steps "
            f"and {rollouts} of {planned} rollouts",
            detail="Its stream files were cut or deleted while it ran.",
            remedy="Run the recipe again with --retry: the stage continues from a checkpoint that the streams reach.",
        )
    tests = read_metrics(folder, "eval")
    steps = sorted(train)
    window = max(1, min(WINDOW, len(steps) // 4))
    result: dict[str, Any] = {
        "steps": len(train),
        "rollouts": rollouts,
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


def _count_rollouts(folder: StageFolder, name: str) -> int:
    """Return the number of distinct rollouts in the stream `rollouts-NAME`."""
    records = read_stream(folder.path, "rollouts")
    return len({record.get("id") for record in records if record.get("stream") == f"rollouts-{name}"})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
