"""Completions of an evaluation, grouped by problem: accuracy, pass@k, distinct answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pipelines.streams import complete_lines, stream_files

PASS_AT: Final = (1, 2, 3, 4, 8, 16, 32, 64)
"""The k of pass@k that are offered, as far as each problem has so many completions."""


class _CompletionLine(msgspec.Struct):
    """The fields of a rollout line that are read; the text of the completion is skipped."""

    id: str
    step: int
    problem_id: str
    correct: bool | None = None
    answer: str | None = None


@dataclass(slots=True)
class ProblemOutcome:
    """The scored completions of one problem."""

    correct: int = 0
    completions: int = 0
    answers: set[str] = field(default_factory=set)

    @property
    def accuracy(self) -> float:
        """Share of right completions."""
        return self.correct / self.completions

    def pass_at(self, k: int) -> float:
        """Estimate without bias the probability that one of k completions is right.

        Source: Chen et al. 2021, arXiv 2107.03374, equation 1.
        """
        wrong = self.completions - self.correct
        return 1.0 - math.comb(wrong, k) / math.comb(self.completions, k)


Outcomes = Mapping[str, ProblemOutcome]
"""By problem id."""


def read_outcomes(folder: Path, stream: str, steps: frozenset[int]) -> dict[int, Outcomes]:
    """Read the scored completions of some steps from the rollout stream of a stage.

    Args:
        folder: the stage folder.
        stream: name of the stream, e.g. `eval`.
        steps: training steps to read.

    Returns:
        Outcomes by step; a step without scored completions is absent. Damaged lines are skipped: the index names them.
    """
    found: dict[int, dict[str, ProblemOutcome]] = {}
    seen: set[str] = set()
    for line in _lines(folder, stream):
        if line.step not in steps or line.correct is None or line.id in seen:
            continue
        seen.add(line.id)
        outcome = found.setdefault(line.step, {}).setdefault(line.problem_id, ProblemOutcome())
        outcome.completions += 1
        outcome.correct += line.correct
        if line.answer is not None:
            outcome.answers.add(line.answer.strip())
    return dict(found)


def _lines(folder: Path, stream: str) -> Iterator[_CompletionLine]:
    decoder = msgspec.json.Decoder(_CompletionLine)
    for path in stream_files(folder, "rollouts"):
        if path.name.startswith(f"rollouts-{stream}-"):
            for line in complete_lines(path):
                try:
                    yield decoder.decode(line.data)
                except msgspec.MsgspecError:
                    continue


def describe_outcomes(outcomes: Outcomes) -> dict[str, float]:
    """Return `pass@k` for each k that every problem has completions for, and `distinct_answers` a problem."""
    if not outcomes:
        return {}
    fewest = min(one.completions for one in outcomes.values())
    measures = {
        f"pass@{k}": math.fsum(one.pass_at(k) for one in outcomes.values()) / len(outcomes)
        for k in PASS_AT
        if k <= fewest
    }
    measures["distinct_answers"] = math.fsum(len(one.answers) for one in outcomes.values()) / len(outcomes)
    return measures
