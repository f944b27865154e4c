"""A row of somebody else's file as a rollout; what the file does not say is worked out where it can be, and marked."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.store.importing.columns import ColumnMapping, Format, value_at
from pipelines.records import rollout_id
from pipelines.tasks.registry import NO_TASK, TASKS, score_problem

_STEP_IN_NAME: Final = re.compile(r"(?:step|global_step|completions?|iter)[_-]?(\d{1,15})|^(\d{1,15})$", re.IGNORECASE)
_LONGEST_KEPT: Final = 2000
_FINISHED: Final = {"stop": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "length": "length",
                    "max_tokens": "length", "max_length": "length", "error": "error", "abort": "error"}  # fmt: skip
_TRUE: Final = {True: True, False: False, "true": True, "false": False, "True": True, "False": False}


class BadRowError(ValueError):
    """A row that holds no rollout; the message says why."""


@dataclass(slots=True)
class RowParts:
    """A row taken apart, before anything expensive is worked out."""

    completion: str
    prompt: str
    step: int
    task: str
    """Name of the task; empty where the row states no problem of a known task."""
    problem: Mapping[str, Any]
    problem_id: str
    sample: int
    row: Mapping[str, Any]
    worked_out: list[str] = field(default_factory=list)


class Converter:
    """Converts the rows of one file, in their order.

    Args:
        key: of the import; part of every id.
        stem: name of the file without its suffix; it may name the step.
        stream: tells the file from the others of the import.
        split: for rows that name none.
    """

    def __init__(self, key: str, stem: str, stream: str, chosen: Format, columns: ColumnMapping, split: str) -> None:
        self._key = key
        self._stream = stream
        self._columns = columns.fields
        self._split = split
        match = _STEP_IN_NAME.search(stem)
        self._file_step = int(match[1] or match[2]) if match and chosen != "cogtui" else None
        self._samples: dict[tuple[int, str], int] = {}
        self._used = {column for columns_ in columns.fields.values() for column in columns_}

    def shape(self, row: Mapping[str, Any]) -> RowParts:
        """The parts of a row.

        Raises:
            BadRow: it has no completion, or a part is not what it should be.
        """
        worked_out: list[str] = []
        completion = self._text(row, "completion", worked_out, speaker="assistant")
        if completion is None:
            raise BadRowError(f"no text in {' + '.join(self._columns['completion'])}")
        prompt = self._text(row, "prompt", worked_out, speaker=None) or ""
        step = self._whole(row, "step")
        if step is None:
            step = self._file_step or 0
            worked_out.append("step")
        task, problem = self._problem(row, prompt, worked_out)
        problem_id = self._value(row, "problem_id")
        if problem_id is None or isinstance(problem_id, Mapping | list):
            worked_out.append("problem_id")
            digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            problem_id = problem.get("id", f"prompt-{digest}")
        sample = self._whole(row, "sample")
        if sample is None:
            place = (step, str(problem_id))
            sample = self._samples.get(place, 0)
            self._samples[place] = sample + 1
            worked_out.append("sample")
        return RowParts(completion, prompt, step, task, problem, str(problem_id), sample, row, worked_out)

    def finish(self, shaped: RowParts, number: int) -> dict[str, Any]:
        """The rollout of a row, as a record.

        Args:
            shaped: the row.
            number: of the row among those of its file that can be read, from 0; part of its id.
        """
        row = shaped.row
        reward, correct, answer = self._scores(shaped)
        split = self._value(row, "split")
        split = str(split) if isinstance(split, str) and split else self._split
        unknown = []
        if shaped.task == NO_TASK:
            unknown += ["problem", "numbers", "target"]
        finish = _FINISHED.get(str(self._value(row, "finish_reason")))
        if finish is None:
            unknown.append("finish_reason")
        n_tokens = self._whole(row, "n_tokens")
        if n_tokens is None:
            unknown.append("n_tokens")
        return {
            "id": rollout_id(self._key, self._stream, shaped.step, shaped.problem_id, number),
            "step": shaped.step,
            "split": split,
            "problem_id": shaped.problem_id,
            "sample": shaped.sample,
            "task": shaped.task,
            "problem": {**shaped.problem, "id": shaped.problem_id},
            "prompt": shaped.prompt,
            "completion": shaped.completion,
            "reward": reward,
            "correct": correct,
            "answer": answer,
            "finish_reason": finish or "stop",
            "n_tokens": n_tokens or 0,
            "meta": self._meta(shaped, unknown),
        }

    def _meta(self, shaped: RowParts, unknown: list[str]) -> dict[str, Any]:
        """What was worked out, what is not known, whose it is, and the columns that mean nothing to us."""
        meta: dict[str, Any] = {"worked_out": shaped.worked_out, "unknown": unknown}
        for name in ("condition", "seed", "id"):
            value = self._value(shaped.row, name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                meta["source_id" if name == "id" else name] = value
        rest = {
            name: kept
            for name, value in shaped.row.items()
            if name not in self._used and (kept := _kept(value)) is not None
        }
        if rest:
            meta["columns"] = rest
        return meta

    def _scores(self, shaped: RowParts) -> tuple[float | None, bool | None, str | None]:
        row = shaped.row
        reward = self._sum(row, "reward")
        given = self._value(row, "correct")
        correct = _TRUE.get(given) if isinstance(given, bool | int | float | str) else None
        answer = self._value(row, "answer")
        answer = str(answer) if isinstance(answer, str | int | float) else None
        score = (
            score_problem(shaped.task, shaped.completion, shaped.problem) if None in (reward, correct, answer) else None
        )
        if score is not None:
            if reward is None:
                reward = score.reward
                shaped.worked_out.append("reward")
            if correct is None:
                correct = score.correct
                shaped.worked_out.append("correct")
            if answer is None and score.answer is not None:
                answer = score.answer
                shaped.worked_out.append("answer")
        return reward, correct, answer

    def _problem(self, row: Mapping[str, Any], prompt: str, worked_out: list[str]) -> tuple[str, Mapping[str, Any]]:
        """Name of the task and the problem of a row: as the row says, or as a built-in task recognises it."""
        task, own = self._value(row, "task"), _object(self._value(row, "problem"))
        if isinstance(task, str) and task and own is not None:
            return task, own
        stated = {
            name: _listed_inside(_listed(value))
            for name in ("numbers", "target", "ground_truth")
            if (value := self._value(row, name)) is not None
        }
        for name in TASKS.builtin_names():
            recognise = getattr(TASKS.get(name), "recognise", None)
            problem = None if recognise is None else recognise({**stated, "prompt": prompt})
            if problem is not None:
                if not {"numbers", "target"} <= set(stated):
                    worked_out += ["problem", *(field for field in ("numbers", "target") if field in problem)]
                return name, problem
        return NO_TASK, {}

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        columns = self._columns.get(name)
        return None if columns is None else value_at(row, columns[0])

    def _whole(self, row: Mapping[str, Any], name: str) -> int | None:
        value = self._value(row, name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value):
            value = int(value)
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**62 else None

    def _sum(self, row: Mapping[str, Any], name: str) -> float | None:
        values = [value_at(row, column) for column in self._columns.get(name, ())]
        numbers = [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
        return sum(numbers) if numbers and len(numbers) == len(values) else None

    def _text(self, row: Mapping[str, Any], name: str, worked_out: list[str], *, speaker: str | None) -> str | None:
        value = self._value(row, name)
        if value is None or isinstance(value, str):
            return value
        text = _spoken(value, speaker)
        if text is not None:
            worked_out.append(name)
        return text


def _spoken(messages: Any, speaker: str | None) -> str | None:
    """The text of chat messages: of one speaker its words, of all each under its role."""
    if isinstance(messages, Mapping):
        messages = [messages]
    if not isinstance(messages, list) or not messages:
        return None
    said = []
    for message in messages:
        if isinstance(message, str):
            said.append(("", message))
            continue
        if not isinstance(message, Mapping):
            return None
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, Mapping))
        said.append((str(message.get("role", "")), content if isinstance(content, str) else ""))
    if speaker is not None:
        own = [text for role, text in said if role in (speaker, "")]
        return "\n\n".join(own) if own else None
    if len(said) == 1:
        return said[0][1]
    return "\n\n".join(f"[{role}]\n{text}" if role else text for role, text in said)


def _object(value: Any) -> Mapping[str, Any] | None:
    """A JSON object, also as the text of one: cells of CSV files and parquet columns hold text."""
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, Mapping) else None


def _listed(value: Any) -> Any:
    """Arrays of parquet readers and numpy as plain lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _listed_inside(truth: Any) -> Any:
    return {name: _listed(value) for name, value in truth.items()} if isinstance(truth, Mapping) else truth


def _kept(value: Any) -> Any:
    """A value as JSON, or None where it is none, or too long to repeat."""
    if value is None:
        return None
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        text = json.dumps(str(value))
    return json.loads(text) if len(text) <= _LONGEST_KEPT else None
