"""Tables of what the training and sampling stages report, for the end of a run."""

from collections.abc import Sequence
from typing import Final

from pipelines.stages.kinds import Result, StageTable
from pipelines.stages.table_text import MISSING, count_text, figure_text

_ACCURACY: Final = ("accuracy_before", "accuracy_after", "accuracy_n")


def ppo_table(results: Sequence[Result]) -> StageTable:
    """Return mean reward and test accuracy, before and after training."""
    steps = {result.get("reward_steps") for result in results}
    width = steps.pop() if len(steps) == 1 else None
    ends = "steps" if width is None else "step" if width == 1 else f"{width} steps"
    rows = [
        (_change(result, "reward_first", "reward_last", "reward_n"), _change(result, *_ACCURACY)) for result in results
    ]
    return StageTable((f"mean reward, first → last {ends}", "test accuracy, before → after"), rows)


def sample_table(results: Sequence[Result]) -> StageTable:
    """Return accuracy and mean reward of the sampled completions."""
    rows = [
        (figure_text(result.get("accuracy")), figure_text(result.get("reward")), count_text(result.get("n")))
        for result in results
    ]
    return StageTable(("accuracy", "mean reward", "n"), rows)


def pretrain_table(results: Sequence[Result]) -> StageTable:
    """Return the amount of training and the final loss."""
    rows = [
        (count_text(result.get("tokens")), count_text(result.get("steps")), figure_text(result.get("loss")))
        for result in results
    ]
    return StageTable(("tokens", "steps", "loss at the end"), rows)


def _change(result: Result, before: str, after: str, n: str) -> str:
    if result.get(before) is None and result.get(after) is None:
        return MISSING
    return f"{figure_text(result.get(before))} → {figure_text(result.get(after))} (n {count_text(result.get(n))})"
