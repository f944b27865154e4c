"""Counts of the rules judge in single completions of an evaluation, beside the labels that people gave them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from cogtui.store.user_data.final_labels import FinalLabel
from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.verdict_files import StoredVerdicts
from pipelines.records import Behavior, upgrade_record
from pipelines.streams import complete_lines, stream_files

LineT = TypeVar("LineT")


class _EvaluatedLine(msgspec.Struct):
    """The fields of a rollout line that are read. Lines of version 1 have numbers and target."""

    id: str
    step: int
    problem_id: str
    completion: str
    task: str | None = None
    problem: dict[str, Any] | None = None
    numbers: list[int] | None = None
    target: int | None = None


class _EvaluatedPlace(msgspec.Struct):
    """The fields that say which completion a line is."""

    id: str
    step: int
    problem_id: str


class JudgedCompletion(NamedTuple):
    """One completion with the rules judge's counts."""

    rollout: str
    problem: str
    counts: Mapping[Behavior, int]
    label: FinalLabel | None
    """The people's label of exactly this text."""


@dataclass(slots=True)
class JudgedEvaluation:
    """The completions of one run at one step."""

    completions: list[JudgedCompletion] = field(default_factory=list)
    other_text: int = 0
    """Labels that are of another text than the completion."""


def evaluated_ids(folder: Path, stream: str, steps: frozenset[int]) -> dict[int, dict[str, str]]:
    """Return the problem of each completion of an evaluation, by step and rollout id. Judges nothing."""
    found: dict[int, dict[str, str]] = {step: {} for step in steps}
    decoder = msgspec.json.Decoder(_EvaluatedPlace)
    for line in _lines(folder, stream, decoder):
        if line.step in steps:
            found[line.step].setdefault(line.id, line.problem_id)
    return found


def judge_evaluation(
    folder: Path, stream: str, steps: frozenset[int], labels: Mapping[str, FinalLabel], *, only_labelled: bool = False
) -> dict[int, JudgedEvaluation]:
    """Count behaviours in the completions of some steps of an evaluation.

    The metrics of the stage have means only, perhaps of an earlier version of the rules. A correction compares the
    judge on labelled completions with the same judge on all of them, so all are judged here, unless the stage stored
    the verdicts of these very rules.

    Args:
        folder: the stage folder.
        stream: name of the stream, e.g. `eval`.
        steps: training steps to read.
        labels: final labels by rollout.
        only_labelled: leave out the completions without a label.
    """
    from pipelines.behaviors.judges.rules.judge import RulesJudge, judge_problem

    stored = StoredVerdicts([folder], RulesJudge().run.id)
    found: dict[int, JudgedEvaluation] = {}
    seen: set[str] = set()
    for line in _lines(folder, stream, msgspec.json.Decoder(_EvaluatedLine)):
        if line.step not in steps or line.id in seen or (only_labelled and line.id not in labels):
            continue
        seen.add(line.id)
        evaluation = found.setdefault(line.step, JudgedEvaluation())
        label = labels.get(line.id)
        if label is not None:
            label = label.of_text(line.completion)
            evaluation.other_text += label is None
        raw = upgrade_record(
            {"problem_id": line.problem_id, "numbers": line.numbers, "target": line.target}
            if line.problem is None and line.numbers is not None
            else {"task": line.task or "", "problem": line.problem or {}}
        )
        known = stored.find(JudgeTask(line.id, raw["task"], raw["problem"], line.completion))
        if known is not None:
            counts = {name: verdict.count or 0 for name, verdict in known.verdicts.items()}
        else:
            counts = judge_problem(line.completion, raw["task"], raw["problem"]).counts
        evaluation.completions.append(JudgedCompletion(line.id, line.problem_id, counts, label))
    return found


def _lines(folder: Path, stream: str, decoder: msgspec.json.Decoder[LineT]) -> Iterator[LineT]:
    for path in stream_files(folder, "rollouts"):
        if path.name.startswith(f"rollouts-{stream}-"):
            for line in complete_lines(path):
                try:
                    yield decoder.decode(line.data)
                except msgspec.MsgspecError:
                    continue  # the index names damaged lines
