"""Finding the columns of a file that hold the fields of a rollout: by a layout's names, by guesses, by `--map`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cogtui.store.importing.protocol import ImportColumns
from pipelines.errors import InvalidInput

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "completion": ("completion", "response", "output", "generated", "generation", "generated_text", "model_output",
                   "response_text", "completions", "responses", "text", "prediction", "trace"),
    "prompt": ("prompt", "input", "question", "query", "instruction", "prompt_text", "messages"),
    "reward": ("reward", "score", "rewards", "total_reward", "reward_score", "return"),
    "correct": ("correct", "is_correct", "acc", "accuracy", "success", "passed"),
    "step": ("step", "global_step", "training_step", "train_step", "iteration", "update"),
    "problem_id": ("problem_id", "prompt_id", "question_id", "task_id", "problem", "index", "idx", "extra_info.index"),
    "sample": ("sample", "sample_idx", "sample_index", "sample_id", "rollout_idx"),
    "task": ("task",),
    "problem": ("problem",),
    "numbers": ("numbers", "nums"),
    "target": ("target",),
    "ground_truth": ("ground_truth", "gts", "gt", "reward_model.ground_truth"),
    "answer": ("answer", "predicted_answer", "extracted_answer", "final_answer", "pred"),
    "n_tokens": ("n_tokens", "response_length", "completion_length", "num_tokens", "completion_tokens"),
    "finish_reason": ("finish_reason", "stop_reason"),
    "split": ("split",),
    "condition": ("condition", "variant"),
    "seed": ("seed",),
    "id": ("id", "uid", "uuid", "request_id", "rollout_id"),
}  # fmt: skip
"""Field of a rollout → names of columns that mean it, the surest first."""


def choose_columns(
    layout: Mapping[str, Sequence[str]],
    rows: Sequence[Mapping[str, Any]],
    given: Mapping[str, str],
) -> ImportColumns:
    """Find the columns of a file.

    Args:
        layout: field → names of columns that mean it, the surest first.
        rows: the first rows of the file.
        given: field → column, from `--map`; an empty column removes the field.

    Raises:
        InvalidInput: a field or a column does not exist, or no column looks like a completion.
    """
    columns = column_names(rows)
    fields: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name in FIELDS:
        match = next(
            (c for c in layout.get(name, ()) if c in columns and c not in taken and _fits(name, c, rows)), None
        )
        if match is not None:
            fields[name] = (match,)
            taken.add(match)
    if "reward" not in fields:
        rewards = tuple(_reward_columns(rows, columns, taken))
        if rewards:
            fields["reward"] = rewards
    _override(fields, given, columns)
    if "completion" not in fields:
        raise InvalidInput(
            "no column looks like a completion",
            detail=f"Columns: {', '.join(sorted(columns))}.",
            remedy="Say which with --map completion=COLUMN.",
        )
    return ImportColumns({name: fields[name] for name in FIELDS if name in fields})


def _fits(name: str, column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column can hold a field: completions and prompts are text or chat messages."""
    if name not in ("completion", "prompt"):
        return True
    value = next((found for row in rows if (found := value_at(row, column)) is not None), None)
    return isinstance(value, str | list) or (isinstance(value, Mapping) and "content" in value)


def _override(fields: dict[str, tuple[str, ...]], given: Mapping[str, str], columns: set[str]) -> None:
    for name, column in given.items():
        if name not in FIELDS:
            raise InvalidInput(f"a rollout has no field {name!r}", remedy=_nearest(name, FIELDS))
        if not column:
            fields.pop(name, None)
            continue
        parts = tuple(column.split("+"))
        for part in parts:
            if part not in columns:
                raise InvalidInput(f"there is no column {part!r}", remedy=_nearest(part, columns))
        fields[name] = parts


def _nearest(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(choices), n=1)
    return f"Did you mean {near[0]}?" if near else f"One of: {', '.join(sorted(choices))}."


def _reward_columns(rows: Sequence[Mapping[str, Any]], columns: set[str], taken: set[str]) -> list[str]:
    """Columns of a reward in parts: TRL writes one per reward function."""
    found = []
    for column in sorted(columns - taken):
        name = column.lower()
        if ("reward" in name or name.endswith("_score")) and all(_is_number(value_at(row, column)) for row in rows):
            found.append(column)
    return found


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def column_names(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return all columns of some rows; those inside objects have dots in their names."""
    found: set[str] = set()
    for row in rows:
        for name, value in row.items():
            found.add(name)
            if isinstance(value, Mapping):
                found |= {f"{name}.{inner}" for inner in column_names([value])}
    return found


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, which may be inside objects; None if it is missing."""
    if column in row:
        return row[column]
    head, _, rest = column.partition(".")
    inner = row.get(head)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None
