"""Curves: the mean of a measure per training step and condition, with an interval over seeds.

A seed is one independent run. Rollouts are averaged within a seed first, then seeds are averaged with equal weight:
rollouts of one run are not independent, so an interval over rollouts would be too narrow.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from cogtui.analysis.intervals import half_width
from cogtui.store.values.types import StepSummary
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_counted

Measure: TypeAlias = str
"""One of `available_measures`."""
_RUN_MEASURES: Final[tuple[Measure, ...]] = ("accuracy", "reward", "length", "tokens")
MEASURES: Final[tuple[Measure, ...]] = (*_RUN_MEASURES, *BEHAVIORS)
"""All measures, of behaviours the mean count per rollout."""


def available_measures(summaries: Iterable[StepSummary]) -> tuple[Measure, ...]:
    """Return the measures to offer for summaries: of behaviours those of the sets that were judged."""
    judged = (tuple(count or None for count in one.judged) for one in summaries)
    return (*_RUN_MEASURES, *behaviors_counted(judged))


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One step of a curve."""

    step: int
    mean: float
    low: float | None
    """Lower end of the 95 % interval of the mean; None with fewer than two seeds."""
    high: float | None
    seeds: int
    n: int
    """Number of rollouts with a value: scored for accuracy and reward, judged for a behaviour."""
    missing: int
    """Number of rollouts without a value."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A measure over the steps of one condition and split."""

    condition: str | None
    split: str
    measure: Measure
    points: tuple[CurvePoint, ...]


def build_curves(summaries: Iterable[StepSummary], measure: Measure) -> list[Curve]:
    """Build the curves of a measure, one per condition and split.

    Stages of the same seed that share a step are pooled, each rollout with equal weight. A step without any value has
    no point: missing is not zero.
    """
    # Without a seed, each stage counts as a run of its own.
    runs: defaultdict[tuple[str | None, str, int], defaultdict[int | str, list[StepSummary]]]
    runs = defaultdict(lambda: defaultdict(list))
    for one in summaries:
        runs[one.condition, one.split, one.step][one.stage if one.seed is None else one.seed].append(one)
    points: defaultdict[tuple[str | None, str], list[CurvePoint]] = defaultdict(list)
    for (condition, split, step), seeds in runs.items():
        point = _point(step, seeds.values(), measure)
        if point is not None:
            points[condition, split].append(point)
    return [
        Curve(condition, split, measure, tuple(sorted(found, key=lambda point: point.step)))
        for (condition, split), found in sorted(
            points.items(), key=lambda item: (item[0][0] is None, item[0][0] or "", item[0][1])
        )
    ]


def _point(step: int, seeds: Iterable[Sequence[StepSummary]], measure: Measure) -> CurvePoint | None:
    means: list[float] = []
    n = missing = 0
    for stages in seeds:
        found = [(value, count) for one in stages for value, count in [_value(one, measure)] if value is not None]
        count = sum(weight for _, weight in found)
        n += count
        missing += sum(one.rollouts for one in stages) - count
        if count:
            means.append(sum(value * weight for value, weight in found) / count)
    if not means:
        return None
    mean = statistics.fmean(means)
    half = half_width(means)
    return CurvePoint(
        step, mean, None if half is None else mean - half, None if half is None else mean + half, len(means), n, missing
    )


def _value(one: StepSummary, measure: Measure) -> tuple[float | None, int]:
    """Return the mean of a measure in a summary, and the number of rollouts it is over."""
    if measure == "accuracy":
        return one.accuracy, one.scored
    if measure == "reward":
        return one.reward, one.scored
    if measure == "length":
        return one.length, one.rollouts
    if measure == "tokens":
        return one.tokens, one.rollouts if one.tokens is not None else 0
    number = BEHAVIORS.index(measure)
    return one.counts[number], one.judged[number]
