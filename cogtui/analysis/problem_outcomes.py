"""Completions of an evaluation, grouped by problem: accuracy, pass@k, Cover@τ, distinct answers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from pipelines.streams import complete_lines, stream_files

PASS_AT: Final = (1, 2, 3, 4, 8, 16, 32, 64)
"""The k of pass@k that are offered, as far as each problem has so many completions."""
COVER_AT: Final = (0.25, 0.5, 0.75)
"""The τ of Cover@τ that are offered, where each problem has at least `COVER_COMPLETIONS` completions."""
COVER_COMPLETIONS: Final = 4
_MEASURE: Final = re.compile(r"(pass|cover)@(\d+(?:\.\d+)?)(tokens)?")


class _CompletionLine(msgspec.Struct):
    """The fields of a rollout line that are read; the text of the completion is skipped."""

    id: str
    step: int
    problem_id: str
    correct: bool | None = None
    answer: str | None = None
    n_tokens: int = 0


@dataclass(slots=True)
class ProblemOutcome:
    """The scored completions of one problem."""

    correct: int = 0
    completions: int = 0
    answers: set[str] = field(default_factory=set)
    tokens: int = 0
    """Generated tokens of all completions."""

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

    def pass_within(self, tokens: float) -> float:
        """Estimate the probability that one completion of so many as `tokens` allow is right.

        The number of completions is the budget by their mean length, at most those there are; between two whole numbers
        pass@k is interpolated, and below one completion it is a share of pass@1.
        """
        mean = self.tokens / self.completions
        allowed = min(tokens / mean if mean else math.inf, self.completions)
        below = math.floor(allowed)
        rest = allowed - below
        low = self.pass_at(below) if below else 0.0
        return low if not rest else (1 - rest) * low + rest * self.pass_at(below + 1)


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
        outcome.tokens += line.n_tokens
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
    """Return `pass@k` and `cover@τ` as far as every problem has completions for, and `distinct_answers` a problem.

    Cover@τ is the share of problems of whose completions at least τ are right (arXiv 2510.08325, estimated from the
    completions there are).
    """
    if not outcomes:
        return {}
    fewest = min(one.completions for one in outcomes.values())
    names = [f"pass@{k}" for k in PASS_AT if k <= fewest]
    if fewest >= COVER_COMPLETIONS:
        names += [f"cover@{share:g}" for share in COVER_AT]
    measures = {name: value for name in names if (value := measure_outcomes(outcomes, name)) is not None}
    measures["distinct_answers"] = math.fsum(len(one.answers) for one in outcomes.values()) / len(outcomes)
    return measures


def measure_outcomes(outcomes: Outcomes, measure: str) -> float | None:
    """Return a measure over problems: `pass@8`, `cover@0.5`, or `pass@192tokens` for a budget of tokens a problem.

    Returns:
        None where there is no such measure, no problem, or a problem with too few completions for it.
    """
    found = _MEASURE.fullmatch(measure)
    if found is None or not outcomes:
        return None
    kind, text, budget = found.groups()
    number = float(text)
    each = list(outcomes.values())
    if kind == "cover":
        return None if budget else sum(one.accuracy >= number for one in each) / len(each)
    if budget:
        return math.fsum(one.pass_within(number) for one in each) / len(each)
    if not number.is_integer() or not 1 <= number <= min(one.completions for one in each):
        return None
    return math.fsum(one.pass_at(int(number)) for one in each) / len(each)
