"""Comparisons of two cells of an experiment: a difference over seeds with its verdict, and the same over problems."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from cogtui.analysis.gold_correction import widen_estimate
from cogtui.analysis.intervals import MeanEstimate, estimate_difference
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.analysis.significance import (
    ProblemEstimate,
    bootstrap_over_problems,
    mean_by_problem,
    seeds_needed,
    student_t_p,
)
from jobs.recipe.claims import Moment
from jobs.recipe.labels import Label, label_text
from pipelines.behaviors.metrics.prediction_powered import CorrectedMean

Verdict = Literal["holds", "does not hold", "undecided"]


class ComparedCell(NamedTuple):
    """A condition at a moment, with its weight in a comparison."""

    group: str
    when: Literal["start", "end"]
    weight: float


@dataclass(frozen=True, slots=True)
class ClaimComparison:
    """A difference that is above zero if the claim holds."""

    name: str
    """Which difference it is, for example `all_strategies - none`."""
    difference: MeanEstimate
    verdict: Verdict
    measure: str = "accuracy"
    when: Moment = "end"
    over_problems: ProblemEstimate | None = None
    """The same difference with its interval over problems; None for measures that are not kept by problem."""
    planned: int = 0
    """Number of seeds in the recipe, of the side that has more."""
    p_holm: float | None = None
    """The p-value over seeds, corrected for the number of comparisons of the experiment."""
    quantity: str = ""
    """What is compared with zero, where it is no difference of two cells: `count at the end − 50 % of the start`."""
    cells: tuple[ComparedCell, ...] = ()
    """What the difference is the weighted sum of, apart from a margin."""

    @property
    def p(self) -> float | None:
        """The two-sided p-value over seeds, by Student's t; None with one seed."""
        error, freedom = self.difference.standard_error, self.difference.freedom
        if error is None or not freedom:
            return None
        if error == 0:
            return 1.0 if self.difference.mean == 0 else 0.0
        return student_t_p(self.difference.mean / error, freedom)

    @property
    def seeds_needed(self) -> int | None:
        """How many seeds would decide it with a probability of 0.8; None with one seed or where over 100 are needed."""
        error = self.difference.standard_error
        if error is None or self.is_corrected:
            return None  # of a corrected difference, seeds make only a part of the interval narrower
        return seeds_needed(self.difference.mean, error * math.sqrt(self.difference.n))

    @property
    def is_corrected(self) -> bool:
        """Whether the counts were corrected by gold, so that the interval contains the judge's error."""
        return self.difference.judge_half is not None

    @property
    def verdict_over_problems(self) -> Verdict:
        """The verdict for these seeds, by the interval over problems."""
        if self.over_problems is None:
            return "undecided"
        return _verdict(self.over_problems.low, self.over_problems.high)

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            **self.difference.as_data(),
            "paired": self.difference.paired,
            "measure": self.measure,
            "when": self.when,
            "planned": self.planned,
            "p": self.p,
            "p_holm": self.p_holm,
            "seeds_needed": self.seeds_needed,
            "corrected": self.is_corrected,
            "over_problems": None
            if self.over_problems is None
            else {**self.over_problems.as_data(), "verdict": self.verdict_over_problems},
        }


def decide_comparison(
    name: str,
    found: MeanEstimate,
    *,
    measure: str = "accuracy",
    when: Moment = "end",
    over_problems: ProblemEstimate | None = None,
    planned: int = 0,
    quantity: str = "",
    cells: tuple[ComparedCell, ...] = (),
) -> ClaimComparison:
    """Decide a comparison by the interval of its difference over seeds."""
    verdict: Verdict = "undecided"
    if found.low is not None and found.high is not None:
        verdict = _verdict(found.low, found.high)
    return ClaimComparison(name, found, verdict, measure, when, over_problems, planned, quantity=quantity, cells=cells)


def _verdict(low: float, high: float) -> Verdict:
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "undecided"


def compare_groups(
    first: ConditionGroup, second: ConditionGroup, measure: str, when: Moment, margin: float = 0.0
) -> ClaimComparison | None:
    """Compare a measure of two groups: the first, raised by the margin, less the second.

    Returns:
        None where one side has no value.
    """
    sides = [corrected_values(group, measure, when) for group in (first, second)]
    if sides[0] is not None and sides[1] is not None:
        (above, errors), (below, more) = sides[0], sides[1]
        between = estimate_difference({seed: value + margin for seed, value in above.items()}, below)
        between = None if between is None else widen_estimate(between, [*errors, *more])
    else:
        raised = {seed: value + margin for seed, value in first.values(measure, when).items()}
        between = estimate_difference(raised, second.values(measure, when))
    if between is None:
        return None
    return decide_comparison(
        _pair_name(first, second, margin),
        between,
        measure=measure,
        when=when,
        over_problems=_over_problems(first, second, when, margin) if measure == "accuracy" else None,
        planned=max(len(first.runs), len(second.runs)),
        cells=tuple(
            ComparedCell(group.name, moment, sign * weight)
            for group, sign in ((first, 1.0), (second, -1.0))
            for moment, weight in _MOMENT_WEIGHTS[when].items()
        ),
    )


_MOMENT_WEIGHTS: Final[Mapping[str, Mapping[Literal["start", "end"], float]]] = {
    "start": {"start": 1.0},
    "end": {"end": 1.0},
    "gain": {"start": -1.0, "end": 1.0},
}


Errors = list[tuple[float, CorrectedMean]]
"""Corrected means with their weights in a sum."""


def corrected_values(group: ConditionGroup, measure: str, when: str) -> tuple[dict[int, float], Errors] | None:
    """Return a corrected measure by seed, as `ConditionGroup.values` returns it raw, and the errors it has.

    Returns:
        None where it is not corrected.
    """
    weights = _MOMENT_WEIGHTS[when]
    return weighted_values(group, measure, weights.get("start", 0.0), weights.get("end", 0.0))


def weighted_values(
    group: ConditionGroup, measure: str, start: float, end: float
) -> tuple[dict[int, float], Errors] | None:
    """Return a weighted sum of a corrected measure at the start and the end, by seed, with the errors it has.

    Returns:
        None where a part with a weight is not corrected.
    """
    parts: Errors = []
    for weight, when in ((start, "start"), (end, "end")):
        found = group.corrections.get((measure, when))
        if weight and found is None:
            return None
        if weight and found is not None:
            parts.append((weight, found))
    seeds = set(parts[0][1].values).intersection(*(one.values for _, one in parts))
    return {seed: math.fsum(weight * one.values[seed] for weight, one in parts) for seed in sorted(seeds)}, parts


def _pair_name(first: ConditionGroup, second: ConditionGroup, margin: float) -> str:
    """Name a pair by the labels in which the two differ; those they share follow in parentheses."""
    shared = {name: value for name, value in first.labels.items() if second.labels.get(name) == value}
    sides = []
    for group in (first, second):
        own = [str(value) for name, value in group.labels.items() if name not in shared]
        sides.append(" ".join(own) or group.name)
    raised = f" + {margin:.2f}" if margin else ""
    return f"{sides[0]}{raised} - {sides[1]}{f' ({label_text(shared)})' if shared else ''}"


def _over_problems(
    first: ConditionGroup, second: ConditionGroup, when: Moment, margin: float
) -> ProblemEstimate | None:
    """Estimate the difference over problems, of the seeds that both sides have, or of all if they share none."""
    sides = [first.problem_accuracy(when), second.problem_accuracy(when)]
    common = set(sides[0]) & set(sides[1])
    means = [mean_by_problem(found for seed, found in side.items() if seed in common or not common) for side in sides]
    return bootstrap_over_problems(
        {problem: value + margin - means[1][problem] for problem, value in means[0].items() if problem in means[1]}
    )


def compare_pairs(
    pairs: Iterable[tuple[ConditionGroup, ConditionGroup]], measure: str, when: Moment, margin: float = 0.0
) -> tuple[ClaimComparison, ...]:
    """Compare a measure of pairs of groups; pairs without values are left out."""
    compared = (compare_groups(first, second, measure, when, margin) for first, second in pairs)
    return tuple(one for one in compared if one is not None)


def matching_pairs(
    groups: Sequence[ConditionGroup], above: Mapping[str, Label], below: Mapping[str, Label]
) -> list[tuple[ConditionGroup, ConditionGroup]]:
    """Return the pairs of groups with these labels that agree in every other label."""
    named = above.keys() | below.keys()
    return [
        (first, second)
        for first in groups
        for second in groups
        if first is not second
        and _has(first, above)
        and _has(second, below)
        and _without(first, named) == _without(second, named)
    ]


def _has(group: ConditionGroup, labels: Mapping[str, Label]) -> bool:
    return all(group.labels.get(name) == value for name, value in labels.items())


def _without(group: ConditionGroup, names: Iterable[str]) -> dict[str, Label]:
    return {name: value for name, value in group.labels.items() if name not in names}
