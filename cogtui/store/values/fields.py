"""The columns a list of rollouts can have, as plain text: named alike in the app, in views and by commands."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from cogtui.store.columns import BY_NAME, ValueColumn, columns_after
from cogtui.store.values.types import RolloutRow
from pipelines.behaviors.sets.registered import BEHAVIORS

MISSING: Final = "-"
"""Shown for an unknown value, which is never shown as 0."""


def _or_dash(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _value_texts(*columns: ValueColumn) -> dict[str, tuple[str, bool, Callable[[RolloutRow], str]]]:
    return {
        column.name: (column.title, column.kind == "number", _text_of(column)) for column in columns if column.title
    }


def _text_of(column: ValueColumn) -> Callable[[RolloutRow], str]:
    """Return the function that gives the text of a column for a row."""
    if column.behavior:
        place = BEHAVIORS.index(column.name)
        return lambda row: _or_dash(row.counts[place])
    value: Callable[[RolloutRow], Any] = attrgetter(column.attribute or column.name)
    if column.compute:
        value = lambda row: row.values.get(column.name)  # noqa: E731
    if column.type == "truth":
        return lambda row: {True: "yes", False: "no", None: MISSING}[value(row)]
    if column.type == "real":
        return lambda row: MISSING if value(row) is None else f"{value(row):g}"
    return lambda row: MISSING if value(row) is None else str(value(row))


TEXTS: Final[dict[str, tuple[str, bool, Callable[[RolloutRow], str]]]] = {
    "id": ("id", False, lambda row: row.id),
    **_value_texts(BY_NAME["step"]),
    "split": ("split", False, lambda row: row.split),
    "condition": ("condition", False, lambda row: row.condition or MISSING),
    "seed": ("seed", True, lambda row: _or_dash(row.seed)),
    "problem": ("problem", False, lambda row: row.problem_id),
    "task": ("task", False, lambda row: row.task or MISSING),
    "numbers": ("numbers", False, lambda row: row.describe(">")),
    **_value_texts(BY_NAME["sample"], *columns_after("sample")),
    "judged": ("judged", False, lambda row: row.judged),
    "judge": ("judge", False, lambda row: row.judge or MISSING),
    "stage": ("stage", False, lambda row: row.stage),
    "noted": ("note", False, lambda row: "*" if row.noted else ""),
}  # fmt: skip
"""Name → (title, whether it is right-aligned, function from row to text)."""
COLUMN_NAMES: Final = tuple(TEXTS)
