"""Points of curves corrected by people's labels: the statistics of `gold_correction` at every step that has enough."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from cogtui.analysis.curves import Curve, CurvePoint, Places, places_by_condition
from cogtui.analysis.gold_correction import estimate_corrected
from cogtui.store import Store
from cogtui.store.user_data.annotations import HUMAN
from cogtui.store.values.types import StepSummary
from pipelines.behaviors.metrics.prediction_powered import GoldPair, JudgedRun, correct_mean
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior, text_sha256


class LabelledRollout(NamedTuple):
    """A rollout with the counts that its row shows and the counts that people say."""

    stage: str
    split: str
    step: int
    problem: str
    judged: Mapping[Behavior, int]
    people: Mapping[Behavior, float]


def labelled_rollouts(store: Store) -> list[LabelledRollout]:
    """Return the rollouts with final labels of exactly their text, unless their rows show a person's counts."""
    labels = store.final_labels()
    found = []
    for detail in store.rollouts(store.existing(labels)):
        row, label = detail.row, labels[detail.row.id]
        shown = detail.judge_runs[0].judge if detail.judge_runs else HUMAN
        if shown == HUMAN or label.text_sha256 != text_sha256(detail.completion):
            continue
        judged = {name: count for name, count in zip(BEHAVIORS, row.counts, strict=True) if count is not None}
        people = {name: count for name in judged if (count := label.count(name)) is not None}
        found.append(LabelledRollout(row.stage, row.split, row.step, row.problem_id, judged, people))
    return found


def correct_curves(
    curves: Iterable[Curve],
    summaries: Iterable[StepSummary],
    labelled: Sequence[LabelledRollout],
    places: Places | None = None,
) -> list[Curve]:
    """Correct the points of behaviours' curves that have enough labels.

    Args:
        curves: as `build_curves` made them of the same summaries and places.
        summaries: means of stages by step.
        labelled: rollouts that people labelled.
        places: the runs of an experiment; None groups by condition.
    """
    summaries = list(summaries)
    known = places_by_condition(summaries) if places is None else places
    by_point: defaultdict[tuple[str, str | None, str, int], list[StepSummary]] = defaultdict(list)
    for one in summaries:
        place = known.get(one.stage)
        if place is not None:
            by_point[place.group, place.condition, one.split, one.step].append(one)
    corrected = []
    for curve in curves:
        points = []
        for point in curve.points:
            stages = by_point[curve.group, curve.condition, curve.split, point.step]
            points.append(_correct_point(point, curve.measure, stages, labelled, known))
        corrected.append(replace(curve, points=tuple(points)))
    return corrected


def _correct_point(
    point: CurvePoint,
    behavior: Behavior,
    stages: Sequence[StepSummary],
    labelled: Sequence[LabelledRollout],
    places: Places,
) -> CurvePoint:
    own = {(one.stage, one.split, one.step) for one in stages}
    mine = [one for one in labelled if behavior in one.people and (one.stage, one.split, one.step) in own]
    if not mine:
        return point
    number = BEHAVIORS.index(behavior)
    seeds = sorted({places[one.stage].seed for one in stages}, key=str)
    totals: dict[int, tuple[float, int]] = {}
    for one in stages:
        mean, n = one.counts[number], one.judged[number]
        if mean is not None and n:
            run = seeds.index(places[one.stage].seed)
            total, before = totals.get(run, (0.0, 0))
            totals[run] = total + mean * n, before + n
    runs = {run: JudgedRun(total / n, n) for run, (total, n) in totals.items()}
    gold = [
        GoldPair(seeds.index(places[one.stage].seed), one.problem, float(one.judged[behavior]), one.people[behavior])
        for one in mine
    ]
    found = correct_mean(runs, gold) if runs else None
    return replace(point, corrected=None if found is None else estimate_corrected(found), labels=len(gold))
