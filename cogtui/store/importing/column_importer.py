"""The base of importers whose fields are columns, and the reading of rollouts from columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cache
from typing import Any, ClassVar, Final, TypeVar

from cogtui.store.importing.columns import FIELDS, choose_columns, value_at
from cogtui.store.importing.completions import CompletionValue, as_text, read_completions
from cogtui.store.importing.conversations import (
    Turn,
    last_question,
    read_turns,
    split_turns,
    transcribe,
    without_leading_questions,
)
from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout
from cogtui.store.importing.text_rows import COUNTED, FIELD_PARSERS, PLAIN_FIELDS, SCORES, plan_text_rows, read_text_row
from cogtui.store.importing.values import (
    is_verdict,
    other_columns,
    read_label,
    read_number,
    read_object,
    read_verdict,
)

_T = TypeVar("_T")
_OF_ONE: Final = ("reward", "correct", "answer", "n_tokens", "finish_reason", "sample", "id", "thought")
"""Fields of one completion: a row of several states them in lists, or in the objects of the completions."""


class ColumnImporter:
    """An importer of rows whose fields are columns. A subclass names the columns of its layout."""

    name: ClassVar[str]
    label: ClassVar[str]
    default_split: ClassVar[str]
    layout: ClassVar[Mapping[str, Sequence[str]]]
    """Field of a rollout → names of columns that mean it, the surest first."""
    required: ClassVar[Set[str]] = frozenset()
    """Columns that every file of this layout has."""
    any_of: ClassVar[Set[str]] = frozenset()
    """Columns of which a file has at least one; empty for no such condition."""
    skips_null_rewards: ClassVar[bool] = False
    """Whether the sum of several reward columns leaves out those that are null; otherwise one null leaves it empty."""

    def matches(self, sample: FileSample) -> float:
        """Return a high confidence if the first row has the columns of the layout, else 0."""
        names = set(sample.rows[0])
        return 0.9 if self.required <= names and (not self.any_of or names & self.any_of) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Find the columns of the layout in a file; see `RowImporter.columns`."""
        return choose_columns(self.layout, sample.rows, given)

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollouts of a row: one for each completion in it."""
        return rollouts_from_columns(row, columns, skip_null_rewards=self.skips_null_rewards)


def rollouts_from_columns(
    row: Mapping[str, Any], columns: ImportColumns, *, skip_null_rewards: bool = False
) -> list[ImportedRollout]:
    """Read the rollouts of a row: one for each completion in its column.

    Raises:
        BadRowError: there is no completion.
    """
    place = columns.fields["completion"][0]
    value = value_at(row, place)
    if isinstance(value, str):
        plan = plan_text_rows(tuple(columns.fields.items()))
        rollout = None if plan is None else read_text_row(row, plan, value)
        if rollout is not None:
            return [rollout]
    found = read_completions(value)
    if found is None:
        raise BadRowError(f"no text in {place}")
    completions, listed = found
    readers = [
        _RowReader(row, columns, each or CompletionValue(), number, len(completions), listed, skip_null_rewards)
        for number, each in enumerate(completions)
    ]
    return [reader.read() for reader in readers]


class _RowReader:
    """Reads the fields of one of the completions of a row."""

    def __init__(
        self,
        row: Mapping[str, Any],
        columns: ImportColumns,
        completion: CompletionValue,
        number: int,
        count: int,
        listed: bool,
        skip_null_rewards: bool,
    ) -> None:
        self._row = row
        self._fields = columns.fields
        self._completion = completion
        self._number = number
        self._count = count
        self._listed = listed
        self._skip_null_rewards = skip_null_rewards
        self._computed: list[str] = []
        self._empty: list[str] = []
        self._used: set[str] = set()
        self._used_inside: set[str] = {completion.text_name}

    def read(self) -> ImportedRollout:
        """Return the rollout."""
        prompt, question, turns = self._read_prompt()
        text = as_text(self._completion, turns)
        completion, parts, stated = text.text, text.parts, text.is_stated
        values = self._plain_values()
        thought = values.get("thought")
        if isinstance(thought, str) and thought.strip() and completion.strip() and "<think>" not in completion:
            before = f"<think>\n{thought}\n</think>\n\n"
            parts = [part._replace(start=part.start + len(before), end=part.end + len(before)) for part in parts]
            completion, stated = before + completion, False
        if not stated:
            self._computed.append("completion")
        reward, correct = self._read_scores()
        problem_id, task, split = values.get("problem_id"), values.get("task"), values.get("split")
        finish_reason = values.get("finish_reason")
        parsed = self._parsed_values()
        seed = parsed.get("seed")
        return ImportedRollout(
            completion=completion,
            prompt=prompt,
            question=question,
            parts=parts,
            step=parsed.get("step"),
            split=split if isinstance(split, str) and split else None,
            sample=parsed.get("sample"),
            problem_id=None if (name := read_label(problem_id)) is None or name == "" else str(name),
            task=task if isinstance(task, str) else None,
            problem=read_object(values.get("problem")),
            numbers=values.get("numbers"),
            target=values.get("target"),
            ground_truth=values.get("ground_truth"),
            reward=reward,
            correct=correct,
            answer=parsed.get("answer"),
            finish_reason=finish_reason if isinstance(finish_reason, str) else None,
            n_tokens=parsed.get("n_tokens"),
            condition=read_label(values.get("condition")),
            seed=seed if isinstance(seed, str | int) else None,
            source_id=read_label(values.get("id")),
            columns={
                **other_columns(self._row, self._used | {self._fields["completion"][0]}),
                **other_columns(self._completion.fields, self._used_inside),
            },
            empty=self._empty,
            computed=self._computed,
        )

    def _plain_values(self) -> dict[str, Any]:
        """The values of fields that are checked where they are used; those that the row has not are left out."""
        if self._completion.fields:
            return {name: self._value(name) for name in PLAIN_FIELDS}
        return {name: self._value(name) for name in PLAIN_FIELDS if name in self._fields}

    def _parsed_values(self) -> dict[str, Any]:
        if self._completion.fields:
            return {name: self._parsed(name, read) for name, read in FIELD_PARSERS.items()}
        return {name: self._parsed(name, read) for name, read in FIELD_PARSERS.items() if name in self._fields}

    def _read_prompt(self) -> tuple[str, str, list[Turn] | None]:
        """Prompt, the user's last question in it, and the turns of the completion that answer."""
        value = self._value("prompt")
        turns = self._completion.turns
        if "prompt" in self._fields:
            answering = None if turns is None else without_leading_questions(turns)
            if isinstance(value, str):
                return value, "", answering
            if isinstance(value, Mapping) and isinstance(value.get("raw"), str):  # promptfoo
                return value["raw"], "", answering
            asked = read_turns(value)
            if asked is not None:
                return self._transcribed(asked), last_question(asked), answering
            if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
                if len(value) > 1:
                    self._computed.append("prompt")
                return "\n\n".join(value), "", answering
            return "", "", answering
        if turns is None:
            return "", "", None
        asking, answering = split_turns(turns)
        return (self._transcribed(asking), last_question(asking), answering) if asking else ("", "", answering)

    def _transcribed(self, turns: Sequence[Turn]) -> str:
        transcript = transcribe(turns)
        if not transcript.is_stated:
            self._computed.append("prompt")
        return transcript.text

    def _read_scores(self) -> tuple[float | None, bool | None]:
        correct = self._parsed("correct", read_verdict)
        columns = self._fields.get("reward", ())
        if len(columns) > 1 and not self._has_inside("reward"):
            values = [value_at(self._row, column) for column in columns]
            self._used |= set(columns)
            numbers = [read_number(value) for value in values]
            known = [number for number in numbers if number is not None]
            may_skip = self._skip_null_rewards and known
            if len(known) == len(numbers) or may_skip:
                return sum(known), correct
            self._empty.append("reward")
            return None, correct
        if not columns and not self._completion.fields:
            return None, correct
        value = self._value("reward")
        reward = self._parsed("reward", read_number)
        if reward is not None and is_verdict(value):  # a verdict in the place of a reward: the number is ours
            self._computed.append("reward")
            if correct is None and "correct" not in self._empty:
                correct = read_verdict(value)
        return reward, correct

    def _has_inside(self, name: str) -> bool:
        inside = self._completion.fields
        return bool(inside) and any(column in inside for column in _names_inside(name))

    def _value(self, name: str) -> Any:
        """The value of a field: of the completion's own object, of its place in a list, or of the row."""
        inside = self._completion.fields
        if name not in self._fields and not inside:
            return None
        of_one = name in _OF_ONE
        if of_one and self._has_inside(name):
            stated = [column for column in _names_inside(name) if column in inside]
            column = next((each for each in stated if inside[each] is not None), stated[0])
            self._used_inside.add(column)
            return inside[column]
        if name not in self._fields:
            return None
        column = self._fields[name][0]
        value = value_at(self._row, column)
        if of_one and self._listed:
            if isinstance(value, list) and len(value) == self._count:
                self._used.add(column)
                return value[self._number]
            if self._count > 1 or isinstance(value, list):
                return None  # one value of several completions belongs to none of them; it stays among the columns
        self._used.add(column)
        return value

    def _parsed(self, name: str, read: Callable[[Any], _T | None]) -> _T | None:
        """The value of a field as its type. What the file has but cannot be read is left empty, and kept as it is."""
        is_column = name in self._fields
        if not is_column and not self._has_inside(name):
            return None
        value = self._value(name)
        parsed = read(value)
        if parsed is None:
            if name in SCORES or (name in COUNTED and value is not None):
                self._empty.append(name)
            if is_column and value is not None:
                self._used.discard(self._fields[name][0])
        return parsed


@cache
def _names_inside(name: str) -> tuple[str, ...]:
    """Names of a field in the object of a completion; its `answer` is the model's."""
    return (*FIELDS[name], "answer") if name == "answer" else FIELDS[name]
