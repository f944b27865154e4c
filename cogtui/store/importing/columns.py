"""Finding the columns of a file that hold the fields of a rollout: by a layout's names, by guesses, by `--map`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cogtui.store.importing.completions import read_completions
from cogtui.store.importing.conversations import read_turns
from cogtui.store.importing.protocol import ImportColumns
from cogtui.store.importing.values import read_number, read_object
from pipelines.errors import InvalidInput

FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "completion": ("completion", "response", "output", "generated", "generation", "generated_text", "model_output",
                   "response_text", "full_model_response", "model_response",
                   "generated_solution", "completions", "responses", "generations",
                   "outputs", "model_outputs", "model_responses", "resps", "choices", "ys", "candidates", "samples",
                   "output_response", "output_list", "text", "prediction", "trace", "code", "predicted_answer"),
    "prompt": ("prompt", "input", "question", "query", "instruction", "prompt_text", "messages", "problem", "x",
               "input_prompt", "question_content", "full_prompt", "problem_statement"),
    "thought": ("reasoning_content", "thinking", "thinking_trajectory"),
    "reward": ("reward", "score", "rewards", "scores", "total_reward", "reward_score", "return"),
    "correct": ("correct", "is_correct", "iscorrect", "acc", "accuracy", "success", "passed", "correctness",
                "correctness_math_verify", "graded_list"),
    "step": ("step", "global_step", "training_step", "train_step", "iteration", "update", "head_version", "version",
             "policy_version", "weight_version"),
    "problem_id": ("problem_id", "prompt_id", "question_id", "task_id", "problem", "example_id", "index", "idx",
                   "extra_info.index"),
    "sample": ("sample", "sample_idx", "sample_index", "sample_id", "rollout_idx"),
    "task": ("task",),
    "problem": ("problem",),
    "numbers": ("numbers", "nums"),
    "target": ("target",),
    "answer": ("predicted_answer", "extracted_answer", "model_answer", "parsed_answer", "pred", "preds", "final_answer",
               "prediction", "predictions"),
    "ground_truth": ("ground_truth", "gts", "gt", "gold", "gold_answer", "expected_answer", "correct_answer",
                     "reference_answer", "reward_model.ground_truth"),
    "n_tokens": ("n_tokens", "response_length", "completion_length", "num_tokens", "completion_tokens"),
    "finish_reason": ("finish_reason", "finish_reasons", "stop_reason"),
    "split": ("split",),
    "condition": ("condition", "variant"),
    "seed": ("seed",),
    "id": ("id", "uid", "uuid", "request_id", "rollout_id"),
}  # fmt: skip
"""Field of a rollout → names of columns that mean it, the surest first.

A column `answer` is not here: `_place_answer` tells whether it is the model's answer or the right one.
"""

_AGGREGATES: Final = re.compile(r"(?:^|_)(?:mean|avg|average|std|max|min|best|baseline|group)(?:_|$)", re.IGNORECASE)
_DEEPEST: Final = 8
_LONGEST_ID: Final = 200


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
    _place_answer(fields, layout, columns - taken)
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


def _place_answer(fields: dict[str, tuple[str, ...]], layout: Mapping[str, Sequence[str]], free: set[str]) -> None:
    """Decide what a column `answer` is, unless the layout says so.

    It is the model's beside a right answer or a problem that is stated elsewhere, else the right one.
    """
    if "answer" not in free or any("answer" in layout.get(name, ()) for name in ("answer", "ground_truth")):
        return
    knows_truth = "ground_truth" in fields or {"numbers", "target"} <= set(fields) or "problem" in fields
    if not knows_truth and "ground_truth" in layout:
        fields["ground_truth"] = ("answer",)
    elif knows_truth and "answer" not in fields and "answer" in layout:
        fields["answer"] = ("answer",)


def _fits(name: str, column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column can hold a field, by its first value that is not null."""
    value = next((found for row in rows if (found := value_at(row, column)) is not None), None)
    if name == "completion":
        return read_completions(value) is not None
    if name == "prompt":
        is_text = isinstance(value, str) and (column != "problem" or any(each.isspace() for each in value.strip()))
        is_object = isinstance(value, Mapping) and bool({"content", "raw"} & set(value))
        return is_text or is_object or (isinstance(value, list) and not _is_answered(value))
    if name == "problem_id":
        return not isinstance(value, str) or len(value) <= _LONGEST_ID
    if name == "problem":
        return read_object(value) is not None
    return True


def _is_answered(value: list[Any]) -> bool:
    """Whether messages end with an answer, and hold more than what was asked."""
    turns = read_turns(value)
    return bool(turns) and turns is not None and turns[-1].role == "assistant" and len(turns) > 1


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
    """Columns of a reward in parts: TRL writes one per reward function. Means and the like are no parts."""
    found = []
    for column in sorted(columns - taken):
        name = column.lower()
        is_named = ("reward" in name or name.endswith("_score")) and not _AGGREGATES.search(name)
        if is_named and all(_is_number(value_at(row, column)) for row in rows):
            found.append(column)
    return found


def _is_number(value: Any) -> bool:
    """Whether a value is a number or empty."""
    if isinstance(value, float) or value is None:
        return True
    return not isinstance(value, bool) and read_number(value) is not None


def column_names(rows: Iterable[Mapping[str, Any]], depth: int = 0) -> set[str]:
    """Return all columns of some rows; those inside objects have dots in their names."""
    found: set[str] = set()
    for row in rows:
        for name, value in row.items():
            found.add(name)
            if isinstance(value, Mapping) and depth < _DEEPEST:
                found |= {f"{name}.{inner}" for inner in column_names([value], depth + 1)}
    return found


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column, which may be inside objects; None if it is missing."""
    if column in row:
        return row[column]
    head, _, rest = column.partition(".")
    inner = row.get(head)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None
