"""The columns a list of rollouts can have, as plain text: named alike in the app, in views and by commands."""

from collections.abc import Callable
from typing import Final

from cogtui.store.values.types import RolloutRow
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS

MISSING: Final = "-"
"""What stands where nothing is known; never a zero."""


def _or_dash(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _count(place: int) -> Callable[[RolloutRow], str]:
    return lambda row: _or_dash(row.counts[place])


TEXTS: Final[dict[str, tuple[str, bool, Callable[[RolloutRow], str]]]] = {
    "id": ("id", False, lambda row: row.id),
    "step": ("step", True, lambda row: str(row.step)),
    "split": ("split", False, lambda row: row.split),
    "condition": ("condition", False, lambda row: row.condition or MISSING),
    "seed": ("seed", True, lambda row: _or_dash(row.seed)),
    "problem": ("problem", False, lambda row: row.problem_id),
    "task": ("task", False, lambda row: row.task or MISSING),
    "numbers": ("numbers", False, lambda row: row.describe(">")),
    "sample": ("sample", True, lambda row: str(row.sample)),
    "reward": ("reward", True, lambda row: MISSING if row.reward is None else f"{row.reward:g}"),
    "correct": ("ok", False, lambda row: {True: "yes", False: "no", None: MISSING}[row.correct]),
    "finish": ("finish", False, lambda row: row.finish_reason),
    "tokens": ("tokens", True, lambda row: _or_dash(row.n_tokens)),
    "length": ("chars", True, lambda row: str(row.length)),
    **{
        behavior: (BEHAVIOR_LETTERS[behavior], True, _count(place)) for place, behavior in enumerate(BEHAVIORS)
    },
    "unaligned": ("unaligned", True, lambda row: _or_dash(row.unaligned)),
    "judged": ("judged", False, lambda row: row.judged),
    "judge": ("judge", False, lambda row: row.judge or MISSING),
    "stage": ("stage", False, lambda row: row.stage),
    "noted": ("note", False, lambda row: "*" if row.noted else ""),
}  # fmt: skip
"""Name → title, whether numbers stand to the right, and the text of a row."""
COLUMN_NAMES: Final = tuple(TEXTS)
