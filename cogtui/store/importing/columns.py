"""Which column is what: known layouts, guesses for others, and what a person says."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from pipelines.errors import InvalidInput
from pipelines.records import Rollout, upgrade_record
from pipelines.streams import strip_envelope

Format = Literal["cogtui", "verl", "trl", "paper", "plain"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

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
"""What a rollout has → names a column with that goes by, the surest first."""

_LAYOUTS: Final[dict[Format, dict[str, tuple[str, ...]]]] = {
    "verl": {"completion": ("output",), "prompt": ("input",), "reward": ("score",), "step": ("step",),
             "ground_truth": ("gts",), "id": ("request_id", "uid")},
    "trl": {"completion": ("completion",), "prompt": ("prompt",), "step": ("step",)},
    "paper": {"completion": ("generated",), "prompt": ("prompt",), "reward": ("score",),
              "ground_truth": ("ground_truth",), "problem_id": ("index",)},
}  # fmt: skip
"""Layouts that are known: their columns mean this and nothing else."""

DEFAULT_SPLITS: Final[dict[Format, str]] = {
    "cogtui": "train", "verl": "train", "trl": "train", "paper": "test", "plain": "import"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Field of a rollout → the columns it is read from; of several the numbers are added."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """As people read it: `completion  from output`."""
        return [f"{name:<14} from {' + '.join(columns)}" for name, columns in self.fields.items()]


def guess_format(rows: Sequence[Mapping[str, Any]]) -> Format:
    """Which program wrote rows like these."""
    names = set(rows[0]) if rows else set()
    if _is_ours(rows):
        return "cogtui"
    if {"input", "output"} <= names and names & {"score", "gts"}:
        return "verl"
    if {"prompt", "completion", "step", "advantage"} <= names:
        return "trl"
    if {"generated", "ground_truth", "score"} <= names:
        return "paper"
    return "plain"


def _is_ours(rows: Sequence[Mapping[str, Any]]) -> bool:
    return bool(rows) and our_family(rows[0]) is not None


def our_family(row: Mapping[str, Any]) -> Literal["rollouts", "traces", "judgements"] | None:
    """Which of our own records a row is, if any."""
    try:
        names = set(upgrade_record(strip_envelope(dict(row))))
    except ValueError:
        return None
    if {"rollout_id", "judge_run", "behavior", "status"} <= names:
        return "judgements"
    if {"teacher", "completion", "spans", "problem_id", "condition"} <= names:
        return "traces"
    needed = {name for name, info in Rollout.model_fields.items() if info.is_required()}
    return "rollouts" if needed <= names and not names - set(Rollout.model_fields) else None


def choose_columns(
    chosen: Format,
    rows: Sequence[Mapping[str, Any]],
    given: Mapping[str, str] = {},
) -> ColumnMapping:
    """The columns of a file.

    Args:
        chosen: its format.
        rows: some of its rows.
        given: field → column, as a person says; an empty column means that the field is not there.

    Raises:
        InvalidInput: a field or a column does not exist, or nothing looks like a completion.
    """
    columns = column_names(rows)
    layout = _LAYOUTS.get(chosen, FIELDS)
    fields: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for name in FIELDS:
        match = next(
            (c for c in layout.get(name, ()) if c in columns and c not in taken and _may_be(name, c, rows)), None
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
    return ColumnMapping({name: fields[name] for name in FIELDS if name in fields})


def _may_be(name: str, column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column has what a field needs: a completion and a prompt are text or chat messages."""
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
    """Columns of a reward given in parts, as TRL writes one a reward function."""
    found = []
    for column in sorted(columns - taken):
        name = column.lower()
        if ("reward" in name or name.endswith("_score")) and all(_is_number(value_at(row, column)) for row in rows):
            found.append(column)
    return found


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def column_names(rows: Iterable[Mapping[str, Any]]) -> set[str]:
    """All columns of some rows; those inside objects with dots."""
    found: set[str] = set()
    for row in rows:
        for name, value in row.items():
            found.add(name)
            if isinstance(value, Mapping):
                found |= {f"{name}.{inner}" for inner in column_names([value])}
    return found


def value_at(row: Mapping[str, Any], column: str) -> Any:
    """The value of a column, which may be inside objects; None where it is not there."""
    if column in row:
        return row[column]
    head, _, rest = column.partition(".")
    inner = row.get(head)
    return value_at(inner, rest) if rest and isinstance(inner, Mapping) else None
