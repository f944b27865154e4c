"""Rows whose completion and prompt are texts, as most are: their fields in a third of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from cogtui.store.importing.columns import value_at
from cogtui.store.importing.protocol import ImportedRollout
from cogtui.store.importing.values import (
    is_verdict,
    other_columns,
    read_answer,
    read_label,
    read_number,
    read_object,
    read_verdict,
    read_whole,
)

SCORES: Final = ("reward", "correct", "answer")
"""Fields that stay empty where the file has their column but no value."""
COUNTED: Final = ("step", "sample", "n_tokens", "seed")
"""Other fields whose unreadable values are counted."""


def _read_count(value: Any) -> int | None:
    count = read_whole(value)
    return count if count is not None and count >= 0 else None


PLAIN_FIELDS: Final = (
    "thought", "problem_id", "task", "split", "problem", "target", "finish_reason", "ground_truth", "numbers",
    "condition", "id",
)  # fmt: skip
FIELD_PARSERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "seed": read_label, "step": read_whole, "sample": read_whole, "answer": read_answer, "n_tokens": _read_count,
}  # fmt: skip
_READ_IN_ORDER: Final[Mapping[str, Callable[[Any], Any]]] = {
    "correct": read_verdict, "reward": read_number, **FIELD_PARSERS,
}  # fmt: skip


class TextRowPlan(NamedTuple):
    """Which columns the fields of rows are read from, whose completion and prompt are texts."""

    prompt: str | None
    plain: tuple[tuple[str, str], ...]
    parsed: tuple[tuple[str, str, Callable[[Any], Any]], ...]
    used: frozenset[str]


@lru_cache(maxsize=16)
def plan_text_rows(fields: tuple[tuple[str, tuple[str, ...]], ...]) -> TextRowPlan | None:
    """Return the plan; None where fields share or add up columns, or a thought comes before the completion."""
    columns = {name: places[0] for name, places in fields}
    used = frozenset(columns.values())
    if "thought" in columns or len(used) < len(columns) or any(len(places) > 1 for _, places in fields):
        return None
    return TextRowPlan(
        columns.get("prompt"),
        tuple((name, columns[name]) for name in PLAIN_FIELDS if name in columns),
        tuple((name, columns[name], read) for name, read in _READ_IN_ORDER.items() if name in columns),
        used,
    )


def read_text_row(row: Mapping[str, Any], plan: TextRowPlan, completion: str) -> ImportedRollout | None:
    """Return the rollout of a row, or None where its prompt is no text."""
    prompt = "" if plan.prompt is None else value_at(row, plan.prompt)
    if not isinstance(prompt, str):
        return None
    values = {name: value_at(row, column) for name, column in plan.plain}
    empty: list[str] = []
    computed: list[str] = []
    unread: set[str] = set()
    for name, column, read in plan.parsed:
        value = value_at(row, column)
        parsed = values[name] = read(value)
        if parsed is None:
            if name in SCORES or (name in COUNTED and value is not None):
                empty.append(name)
            if value is not None:
                unread.add(column)
        elif name == "reward" and is_verdict(value):
            computed.append("reward")
            if values.get("correct") is None and "correct" not in empty:
                values["correct"] = read_verdict(value)
    get = values.get
    problem_id, task, split, finish_reason = get("problem_id"), get("task"), get("split"), get("finish_reason")
    problem, condition, source_id = get("problem"), get("condition"), get("id")
    return ImportedRollout(
        completion=completion,
        prompt=prompt,
        step=get("step"),
        split=split if isinstance(split, str) and split else None,
        sample=get("sample"),
        problem_id=None if (label := read_label(problem_id)) is None or label == "" else str(label),
        task=task if isinstance(task, str) else None,
        problem=None if problem is None else read_object(problem),
        numbers=get("numbers"),
        target=get("target"),
        ground_truth=get("ground_truth"),
        reward=get("reward"),
        correct=get("correct"),
        answer=get("answer"),
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        n_tokens=get("n_tokens"),
        condition=None if condition is None else read_label(condition),
        seed=get("seed"),
        source_id=None if source_id is None else read_label(source_id),
        columns=other_columns(row, plan.used - unread if unread else plan.used),
        empty=empty,
        computed=computed,
    )
