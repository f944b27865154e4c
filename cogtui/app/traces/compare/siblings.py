"""Neighbours of a rollout among those of its problem: by step, sample and run; and the default comparison."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

from cogtui.store import RolloutRow

Axis = Literal["step", "sample", "series"]


class _RunKey(NamedTuple):
    """The fields that the rollouts of one run and split share."""

    stage: str
    split: str
    condition: str
    seed: int
    """-1 without a seed."""


def _series(row: RolloutRow) -> _RunKey:
    return _RunKey(row.stage, row.split, row.condition or "", -1 if row.seed is None else row.seed)


_VALUE: Final[dict[Axis, Callable[[RolloutRow], Any]]] = {
    "step": lambda row: row.step,
    "sample": lambda row: row.sample,
    "series": _series,
}


def find_neighbour(rows: Sequence[RolloutRow], here: RolloutRow, axis: Axis, by: int) -> RolloutRow | None:
    """Return the neighbour of a rollout along an axis, as near as possible in the other dimensions.

    Args:
        rows: rollouts of the problem, by series, step and sample.
        here: one of them.
        axis: `step` and `sample` stay in the series of `here`, `series` goes to another run, condition or split.
        by: 1 or -1.

    Returns:
        None at the end of the axis.
    """
    value = _VALUE[axis]
    near = {
        "step": [row for row in rows if _series(row) == _series(here)],
        "sample": [row for row in rows if _series(row) == _series(here) and row.step == here.step],
        "series": list(rows),
    }[axis]
    values = list(dict.fromkeys(value(row) for row in near))
    if axis != "series":
        values.sort()
    if value(here) not in values:
        return None
    at = values.index(value(here)) + by
    if not 0 <= at < len(values):
        return None
    fitting = [row for row in near if value(row) == values[at]]
    return min(fitting, key=lambda row: (abs(row.step - here.step), abs(row.sample - here.sample)))


def choose_partner(rows: Sequence[RolloutRow], here: RolloutRow) -> RolloutRow | None:
    """Return the default comparison: the first step of the same run, else another run, else another sample."""
    others = [row for row in rows if row.id != here.id]
    if not others:
        return None

    def distance(row: RolloutRow) -> tuple[bool, bool, int, int]:
        same = _series(row) == _series(here)
        far = row.step if same else abs(row.step - here.step)
        return not same or row.step == here.step, same, far, abs(row.sample - here.sample)

    return min(others, key=distance)


def describe_rollout(row: RolloutRow) -> str:
    """Describe a rollout among those of its problem: `step 40 #0 · all_strategies · seed 1 · train`."""
    origin = [row.condition, None if row.seed is None else f"seed {row.seed}", row.split]
    return " · ".join([f"step {row.step} #{row.sample}", *(text for text in origin if text)])
