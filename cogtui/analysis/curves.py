"""Curves: the mean of a measure per training step and condition, with an interval over seeds.

A seed is one independent run. Rollouts are averaged within a seed first, then seeds are averaged with equal weight:
rollouts of one run are not independent, so an interval over rollouts would be too narrow.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from cogtui.analysis.intervals import MeanEstimate, half_width
from cogtui.store.values.types import MetricStep, StepSummary
from jobs.planning.cell import Cell
from jobs.recipe.labels import label_text
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_counted
from pipelines.stages.builtin import find_kind
from pipelines.stages.kinds import Evaluation

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
    bottom: float | None = None
    """The smallest value among the steps that this point stands for, averaged over seeds; None for a single step."""
    top: float | None = None
    corrected: MeanEstimate | None = None
    """The mean corrected by people's labels (`curve_corrections`); None with too few of them."""
    labels: int = 0
    """Rollouts with a label."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A measure over the steps of one group of runs and one split."""

    condition: str | None
    split: str
    measure: Measure
    points: tuple[CurvePoint, ...]
    group: str = ""
    """Name of the group; empty where it is the condition alone."""
    stages: tuple[str, ...] = ()
    """Keys of its stages, where it is about stages of an experiment."""

    @property
    def name(self) -> str:
        """The group or condition as shown."""
        return self.group or self.condition or "no condition"


class RunPlace(NamedTuple):
    """Where a stage belongs among the runs of an experiment."""

    group: str
    condition: str | None
    seed: int | str
    """A stage without a seed counts as a run of its own, under its key."""


Places: TypeAlias = Mapping[str, RunPlace]
"""Stage key → its place."""


def place_runs(cells: Iterable[Cell], prefix: str = "") -> dict[str, RunPlace]:
    """Return the places of the evaluated stages of an experiment's cells.

    Where a cell has stages that evaluate while they train, these are its runs, as in `outcomes.load_runs`. A stage that
    several groups share belongs to none of them and is left out.

    Args:
        cells: of the experiment.
        prefix: put before each group's name, to tell experiments apart.
    """
    cells = list(cells)
    dimensions = {name for cell in cells for name in cell.labels} - {"seed"}
    found: dict[str, RunPlace] = {}
    shared: set[str] = set()
    for cell in cells:
        others = {name: value for name, value in cell.labels.items() if name != "seed"}
        group = str(cell.labels["condition"]) if dimensions == {"condition"} else label_text(others)
        condition, seed = cell.labels.get("condition"), cell.labels.get("seed")
        evaluations = {key: _evaluation_of(key) for key in cell.stages.values()}
        wanted: Evaluation = "training" if "training" in evaluations.values() else "once"
        for name, key in cell.stages.items():
            if evaluations[key] == wanted:
                whole = f"{prefix}{group or name}"
                if key in found and found[key].group != whole:
                    shared.add(key)
                run = seed if isinstance(seed, int) and not isinstance(seed, bool) else key
                found[key] = RunPlace(whole, None if condition is None else str(condition), run)
    return {key: place for key, place in found.items() if key not in shared}


def _evaluation_of(key: str) -> Evaluation:
    kind = find_kind(key.partition("-")[0])
    return "none" if kind is None else kind.evaluates


def places_by_condition(summaries: Iterable[StepSummary]) -> dict[str, RunPlace]:
    """Return the places of all stages with rollouts, grouped by condition alone: where no experiment is known."""
    return {one.stage: RunPlace("", one.condition, one.stage if one.seed is None else one.seed) for one in summaries}


def build_curves(summaries: Iterable[StepSummary], measure: Measure, places: Places | None = None) -> list[Curve]:
    """Build the curves of a measure, one per group of runs and split.

    Stages of the same seed that share a step are pooled, each rollout with equal weight. A step without any value has
    no point: missing is not zero.

    Args:
        summaries: of stages.
        measure: one of `available_measures`.
        places: the runs of an experiment; other stages are left out. Without it, stages are grouped by condition.
    """
    summaries = list(summaries)
    known = places_by_condition(summaries) if places is None else places
    runs: defaultdict[tuple[str, str | None, str, int], defaultdict[int | str, list[StepSummary]]]
    runs = defaultdict(lambda: defaultdict(list))
    stages: defaultdict[tuple[str, str | None, str], dict[str, None]] = defaultdict(dict)
    for one in summaries:
        place = known.get(one.stage)
        if place is not None:
            condition = one.condition if places is None else place.condition
            run = (one.stage if one.seed is None else one.seed) if places is None else place.seed
            runs[place.group, condition, one.split, one.step][run].append(one)
            stages[place.group, condition, one.split][one.stage] = None
    points: defaultdict[tuple[str, str | None, str], list[CurvePoint]] = defaultdict(list)
    for (group, condition, split, step), seeds in runs.items():
        point = _point(step, seeds.values(), measure)
        if point is not None:
            points[group, condition, split].append(point)
    return [
        Curve(
            condition,
            split,
            measure,
            tuple(sorted(found, key=lambda point: point.step)),
            group,
            () if places is None else tuple(stages[group, condition, split]),
        )
        for (group, condition, split), found in sorted(
            points.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1] or "", item[0][2])
        )
    ]


def build_metric_curves(rows: Iterable[MetricStep], stream: str, name: str, places: Places) -> list[Curve]:
    """Build the curves of a metric that training wrote, one per group of runs.

    Args:
        rows: of all stages.
        stream, name: of the metric.
        places: the runs.
    """
    found: defaultdict[tuple[str, str | None], defaultdict[int, list[MetricStep]]]
    found = defaultdict(lambda: defaultdict(list))
    stages: defaultdict[tuple[str, str | None], dict[str, None]] = defaultdict(dict)
    for row in rows:
        place = places.get(row.stage)
        if place is not None and row.stream == stream and row.name == name:
            found[place.group, place.condition][round(row.step)].append(row)
            stages[place.group, place.condition][row.stage] = None
    curves = []
    for (group, condition), steps in sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        points = []
        for step, seeds in sorted(steps.items()):
            mean = statistics.fmean(one.value for one in seeds)
            half = half_width([one.value for one in seeds])
            several = any(one.steps > 1 for one in seeds)
            points.append(
                CurvePoint(
                    step,
                    mean,
                    None if half is None else mean - half,
                    None if half is None else mean + half,
                    len(seeds),
                    sum(one.steps for one in seeds),
                    0,
                    statistics.fmean(one.low for one in seeds) if several else None,
                    statistics.fmean(one.high for one in seeds) if several else None,
                )
            )
        curves.append(Curve(condition, "", name, tuple(points), group, tuple(stages[group, condition])))
    return curves


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
