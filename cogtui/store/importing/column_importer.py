"""The base of importers whose fields are columns, and the reading of values from columns."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, ClassVar, Final

from cogtui.store.importing.columns import choose_columns, value_at
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout

_LONGEST_KEPT: Final = 2000
_TRUE: Final = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}


class ColumnImporter:
    """An importer of rows of which each is one rollout. A subclass names the columns of its layout."""

    name: ClassVar[str]
    label: ClassVar[str]
    default_split: ClassVar[str]
    layout: ClassVar[Mapping[str, Sequence[str]]]
    """Field of a rollout → names of columns that mean it, the surest first."""
    required: ClassVar[Set[str]] = frozenset()
    """Columns that every file of this layout has."""
    any_of: ClassVar[Set[str]] = frozenset()
    """Columns of which a file has at least one; empty for no such condition."""

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row has the columns of the layout, else 0."""
        names = set(sample.rows[0])
        return 0.9 if self.required <= names and (not self.any_of or names & self.any_of) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Find the columns of the layout in a file; see `RowImporter.columns`."""
        return choose_columns(self.layout, sample.rows, given)

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the one rollout of a row."""
        return (rollout_from_columns(row, columns),)


def rollout_from_columns(row: Mapping[str, Any], columns: ImportColumns) -> ImportedRollout:
    """Read a rollout from the columns of a row.

    Raises:
        BadRowError: there is no completion.
    """
    fields = columns.fields

    def value(name: str) -> Any:
        return value_at(row, fields[name][0]) if name in fields else None

    computed: list[str] = []

    def text(name: str, speaker: str | None) -> str | None:
        found = value(name)
        if found is None or isinstance(found, str):
            return found
        joined = message_text(found, speaker)
        if joined is not None:
            computed.append(name)
        return joined

    completion = text("completion", "assistant")
    if completion is None:
        raise BadRowError(f"no text in {' + '.join(fields['completion'])}")
    correct = value("correct")
    answer = value("answer")
    problem = value("problem_id")
    split = value("split")
    used = {column for names in fields.values() for column in names}
    return ImportedRollout(
        completion=completion,
        prompt=text("prompt", None) or "",
        step=whole_number(value("step")),
        split=split if isinstance(split, str) and split else None,
        sample=whole_number(value("sample")),
        problem_id=None if problem is None or isinstance(problem, Mapping | list) else str(problem),
        task=value("task") if isinstance(value("task"), str) else None,
        problem=_json_object(value("problem")),
        numbers=value("numbers"),
        target=value("target"),
        ground_truth=value("ground_truth"),
        reward=_sum([value_at(row, column) for column in fields.get("reward", ())]),
        correct=_TRUE.get(correct) if isinstance(correct, bool | int | float | str) else None,
        answer=str(answer) if isinstance(answer, str | int | float) else None,
        finish_reason=None if value("finish_reason") is None else str(value("finish_reason")),
        n_tokens=whole_number(value("n_tokens")),
        condition=_label(value("condition")),
        seed=_label(value("seed")),
        source_id=_label(value("id")),
        columns=other_columns(row, used),
        computed=computed,
    )


def other_columns(row: Mapping[str, Any], used: Set[str]) -> dict[str, Any]:
    """Return the columns of a row that no field is read from, as JSON, without long ones."""
    return {name: kept for name, value in row.items() if name not in used and (kept := _as_json(value)) is not None}


def whole_number(value: Any) -> int | None:
    """Return a value as a whole number; None if it is not one."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62 else None


def _sum(values: Sequence[Any]) -> float | None:
    numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return sum(numbers) if numbers and len(numbers) == len(values) else None


def _json_object(value: Any) -> Mapping[str, Any] | None:
    """A JSON object, also given as text: cells of CSV files and parquet columns hold text."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _label(value: Any) -> str | int | None:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def message_text(messages: Any, speaker: str | None) -> str | None:
    """Return the text of chat messages: what one role says, or all messages under their roles.

    Args:
        messages: a message, or a list of messages or strings.
        speaker: a role; None for all.

    Returns:
        None if these are not messages.
    """
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, list) or not messages:
        return None
    texts = []
    for message in messages:
        if isinstance(message, str):
            texts.append(("", message))
            continue
        if not isinstance(message, Mapping):
            return None
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
        texts.append((str(message.get("role", "")), content if isinstance(content, str) else ""))
    if speaker is not None:
        own = [text for role, text in texts if role in (speaker, "")]
        return "\n\n".join(own) if own else None
    if len(texts) == 1:
        return texts[0][1]
    return "\n\n".join(f"[{role}]\n{text}" if role else text for role, text in texts)


def _as_json(value: Any) -> Any:
    """A value as JSON; None if it is None or too long to repeat."""
    if value is None:
        return None
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(str(value))
    return json.loads(text) if len(text) <= _LONGEST_KEPT else None
