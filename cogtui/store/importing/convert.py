"""Completing imported rollouts to records: values that a file does not state are computed where possible."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from cogtui.store.importing.protocol import BadRowError, ImportColumns, ImportedRollout, RowImporter
from cogtui.store.importing.repeated_prompt import repeated_prompt_end, repeats_prompt_inside
from cogtui.store.importing.values import has_huge_whole, kept_json
from pipelines.records import rollout_id
from pipelines.tasks.registry import NO_TASK, TASKS, score_problem

_STEP_IN_NAME: Final = re.compile(r"(?:step|global_step|completions?|iter)[_-]?(\d{1,15})|^(\d{1,15})$", re.IGNORECASE)
_FINISHED: Final = {"stop": "stop", "eos": "stop", "eos_token": "stop", "end_turn": "stop", "length": "length",
                    "stop_sequence": "stop", "completed": "stop", "tool_calls": "stop", "tool_use": "stop",
                    "max_tokens": "length", "max_length": "length", "max_output_tokens": "length",
                    "model_length": "length", "error": "error", "abort": "error"}  # fmt: skip
CUT_PROMPT: Final = "repeated prompt cut off"


@dataclass(slots=True)
class PlacedRollout:
    """An imported rollout with its place in the run, before the values that take time to compute."""

    stated: ImportedRollout
    step: int
    task: str
    """Name of the task; empty if the problem is of no known task."""
    problem: Mapping[str, Any]
    problem_id: str
    sample: int
    computed: list[str]
    cut: str = ""
    """The prompt that the completion in the file begins with, which is cut off."""
    differing: dict[str, Any] = field(default_factory=dict)
    """What the task finds where the file states another value: reward, correct, answer, and the name of the task."""


@dataclass(slots=True)
class ConvertedRow:
    """The rollouts of a row, and the completions of it that are none."""

    rollouts: list[PlacedRollout]
    problems: list[str]
    """What is wrong with each of the others."""


class Converter:
    """Converts the rows of one file to records, in their order.

    Args:
        importer: of the layout of the file.
        columns: as the importer found them.
        key: of the import; part of every id.
        stem: name of the file without its suffix; it may name the step.
        stream: tells the file from the others of the import.
    """

    def __init__(self, importer: RowImporter, columns: ImportColumns, key: str, stem: str, stream: str) -> None:
        self._importer = importer
        self._columns = columns
        self._key = key
        self._stream = stream
        match = _STEP_IN_NAME.search(stem)
        self._file_step = int(match[1] or match[2]) if match else None
        self._samples: dict[tuple[int, str], int] = {}
        self._last_problem: tuple[tuple[Any, ...], tuple[str, Mapping[str, Any], list[str]]] | None = None

    def convert(self, row: Mapping[str, Any]) -> ConvertedRow:
        """Return the rollouts of a row, before their scores are computed.

        Raises:
            BadRowError: the row has none.
        """
        try:
            found: list[ImportedRollout] = list(self._importer.rollouts(row, self._columns))
        except BadRowError:
            raise
        except Exception as error:  # a row of an unexpected shape, or a bug of a plug-in: the other rows go on
            text = " ".join(str(error).split())
            raise BadRowError(f"the importer {self._importer.name} failed: {type(error).__name__}: {text}") from error
        if not found:
            raise BadRowError("no rollout in this row")
        converted = ConvertedRow([], [])
        for number, stated in enumerate(found, 1):
            placed = self._place(stated)
            if stated.completion.strip():
                converted.rollouts.append(placed)
                continue
            problem = "the completion is only the prompt" if placed.cut else "the completion is empty"
            converted.problems.append(problem if len(found) == 1 else f"{problem} (number {number} of {len(found)})")
        return converted

    def _place(self, stated: ImportedRollout) -> PlacedRollout:
        cut = ""
        end = 0 if stated.parts else repeated_prompt_end(stated.completion, stated.prompt, stated.question)
        if end:
            cut, stated.completion = stated.completion[:end], stated.completion[end:]
            stated.computed.append("completion")
        for name, value in (("numbers", stated.numbers), ("target", stated.target), ("problem", stated.problem)):
            if value is not None and has_huge_whole(value):
                stated.empty.append(name)
        computed = list(stated.computed)
        step = stated.step
        if step is None:
            step = self._file_step or 0
            computed.append("step")
        task, problem = self._find_problem(stated, computed)
        problem_id = stated.problem_id
        if problem_id is None:
            computed.append("problem_id")
            problem_id = str(problem["id"]) if "id" in problem else _prompt_id(stated.prompt)
        sample = stated.sample
        if sample is None:
            place = (step, problem_id)
            sample = self._samples.get(place, 0)
            self._samples[place] = sample + 1
            computed.append("sample")
        return PlacedRollout(stated, step, task, problem, problem_id, sample, list(dict.fromkeys(computed)), cut)

    def _find_problem(self, stated: ImportedRollout, computed: list[str]) -> tuple[str, Mapping[str, Any]]:
        """Task and problem of a rollout. Samples of a problem follow each other: it is found once for all of them."""
        key = (stated.prompt, stated.ground_truth, stated.task, stated.problem, stated.numbers, stated.target)
        if self._last_problem is None or not _are_equal(self._last_problem[0], key):
            fields: list[str] = []
            task, problem = _find_problem(stated, fields)
            self._last_problem = (key, (task, problem, fields))
        task, problem, fields = self._last_problem[1]
        computed += fields
        return task, problem

    def record(self, placed: PlacedRollout, number: int) -> dict[str, Any]:
        """Return the record of a rollout.

        Args:
            placed: the rollout.
            number: of the rollout among those of its file, from 0; part of its id.
        """
        stated = placed.stated
        reward, correct, answer = self._scores(placed)
        unknown = []
        if placed.task == NO_TASK:
            unknown += ["problem", "numbers", "target"]
        finish = _FINISHED.get((stated.finish_reason or "").lower())
        if finish is None:
            unknown.append("finish_reason")
        if stated.n_tokens is None:
            unknown.append("n_tokens")
        return {
            "id": rollout_id(self._key, self._stream, placed.step, placed.problem_id, number),
            "step": placed.step,
            "split": stated.split or self._importer.default_split,
            "problem_id": placed.problem_id,
            "sample": placed.sample,
            "task": placed.task,
            "problem": {**placed.problem, "id": placed.problem_id},
            "prompt": stated.prompt,
            "completion": stated.completion,
            "reward": reward,
            "correct": correct,
            "answer": answer,
            "finish_reason": finish or "stop",
            "n_tokens": stated.n_tokens or 0,
            "meta": self._meta(placed, unknown),
        }

    def _meta(self, placed: PlacedRollout, unknown: list[str]) -> dict[str, Any]:
        """What was computed, what is unknown, the labels and id of the file, and its other columns."""
        stated = placed.stated
        meta: dict[str, Any] = {"worked_out": placed.computed, "unknown": unknown}
        labels = (("condition", stated.condition), ("seed", stated.seed), ("source_id", stated.source_id))
        meta |= {name: value for name, value in labels if value is not None}
        gold = _gold(placed)
        if gold is not None:
            meta["gold"] = gold
        if placed.differing:
            meta["checked"] = placed.differing
        if stated.empty:
            meta["left_empty"] = list(stated.empty)
        if placed.cut:
            meta[CUT_PROMPT.replace(" ", "_")] = len(placed.cut)
        elif repeats_prompt_inside(stated.completion, stated.prompt, stated.question):
            meta["repeats_prompt"] = True
        if stated.parts:
            meta["parts"] = [list(part) for part in stated.parts]
        if stated.columns:
            meta["columns"] = dict(stated.columns)
        return meta

    def _scores(self, placed: PlacedRollout) -> tuple[float | None, bool | None, str | None]:
        """Reward, verdict and answer: as stated, else computed by the task unless the file leaves them empty."""
        stated = placed.stated
        score = score_problem(placed.task, stated.completion, placed.problem)
        if score is None:
            return stated.reward, stated.correct, stated.answer
        reward, correct, answer = stated.reward, stated.correct, stated.answer
        if reward is None and "reward" not in stated.empty:
            reward = score.reward
            placed.computed.append("reward")
        if correct is None and "correct" not in stated.empty:
            correct = score.correct
            placed.computed.append("correct")
        if answer is None and "answer" not in stated.empty and score.answer is not None:
            answer = score.answer
            placed.computed.append("answer")
        if reward != score.reward and reward is not None:
            placed.differing["reward"] = score.reward
        if correct != score.correct and correct is not None:
            placed.differing["correct"] = score.correct
        if answer is not None and (score.answer is None or _squeezed(answer) != _squeezed(score.answer)):
            placed.differing["answer"] = score.answer
        if placed.differing:
            placed.differing["task"] = placed.task
        return reward, correct, answer


def _prompt_id(prompt: str) -> str:
    return f"prompt-{hashlib.sha256(prompt.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _are_equal(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    try:
        return left == right
    except ValueError:  # arrays of numpy, which a plug-in may return, have no truth value
        return False


def _squeezed(answer: str) -> str:
    return "".join(answer.split())


def _gold(placed: PlacedRollout) -> Any:
    """The right answer that the file states, unless it is the problem itself."""
    stated = placed.stated
    gold = stated.ground_truth if stated.ground_truth is not None else stated.target
    if gold is None or (placed.task and (isinstance(gold, Mapping) or gold is stated.target)):
        return None
    return kept_json(gold)


def _find_problem(stated: ImportedRollout, computed: list[str]) -> tuple[str, Mapping[str, Any]]:
    """Task and problem of a rollout: as the file states them, or as a built-in task recognises them."""
    if stated.task and stated.problem is not None:
        return stated.task, stated.problem
    given: dict[str, Any] = {"prompt": stated.prompt}
    if stated.numbers is not None:
        given["numbers"] = _as_list(stated.numbers)
    if stated.target is not None:
        given["target"] = _as_list(stated.target)
    if stated.ground_truth is not None:
        given["ground_truth"] = _lists_inside(_as_list(stated.ground_truth))
    for name, recognise in _recognisers():
        problem = recognise(given)
        if problem is not None and not has_huge_whole(problem):
            if not ("numbers" in given and "target" in given):
                computed += ["problem", *(field for field in ("numbers", "target") if field in problem)]
            return name, problem
    return NO_TASK, {}


@cache
def _recognisers() -> list[tuple[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | None]]]:
    """The built-in tasks that find their problem in a row; looking them up takes as long as half a conversion."""
    found = ((name, getattr(TASKS.get(name), "recognise", None)) for name in TASKS.builtin_names())
    return [(name, recognise) for name, recognise in found if recognise is not None]


def _as_list(value: Any) -> Any:
    """Arrays of numpy and parquet readers as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _lists_inside(truth: Any) -> Any:
    return {name: _as_list(value) for name, value in truth.items()} if isinstance(truth, Mapping) else truth
