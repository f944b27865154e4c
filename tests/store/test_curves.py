"""Curves over seeds, from summaries and from an index; and the published ones."""

import math
import random
import statistics
from collections import defaultdict

import pytest

from cogtui.analysis.curves import MEASURES, build_curves
from cogtui.analysis.intervals import half_width
from cogtui.analysis.reference import published_curve, published_points
from cogtui.store import Query, Store, open_store
from cogtui.store.filter.parser import parse
from cogtui.store.values.types import StepSummary
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.teachers.tables import published_teacher_accuracy
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts


def summary(seed: int | None, accuracy: float | None, *, stage: str = "ppo-1", n: int = 10) -> StepSummary:
    return StepSummary(
        stage, "dots", seed, "train", 5, n, 0 if accuracy is None else n, accuracy, accuracy, 100.0, None,
        (0, 0, 0, 0), (None, None, None, None),
    )  # fmt: skip


def test_the_interval_is_over_seeds() -> None:
    ((point,),) = [
        curve.points for curve in build_curves([summary(1, 0.2), summary(2, 0.4), summary(3, 0.6)], "accuracy")
    ]
    assert point.mean == pytest.approx(0.4)
    assert (point.seeds, point.n, point.missing) == (3, 30, 0)
    assert point.high is not None
    assert point.low is not None
    assert point.high - point.mean == pytest.approx(4.303 * 0.2 / math.sqrt(3))
    assert point.mean - point.low == pytest.approx(4.303 * 0.2 / math.sqrt(3))


def test_one_seed_has_no_interval_and_nothing_scored_no_point() -> None:
    ((point,),) = [curve.points for curve in build_curves([summary(1, 0.2), summary(2, None)], "accuracy")]
    assert (point.mean, point.low, point.high, point.seeds, point.n, point.missing) == (0.2, None, None, 1, 10, 10)
    assert build_curves([summary(1, None)], "accuracy") == []
    assert build_curves([summary(1, 0.2)], "backtracking") == []
    assert build_curves([summary(1, 0.2)], "tokens") == []


def test_stages_of_one_seed_are_one_run_and_those_without_seed_are_runs_of_their_own() -> None:
    pooled = [summary(1, 0.0, n=30), summary(1, 1.0, stage="ppo-2", n=10)]
    ((point,),) = [curve.points for curve in build_curves(pooled, "accuracy")]
    assert (point.mean, point.seeds) == (0.25, 1)
    apart = [summary(None, 0.0, n=30), summary(None, 1.0, stage="ppo-2", n=10)]
    ((point,),) = [curve.points for curve in build_curves(apart, "accuracy")]
    assert (point.mean, point.seeds) == (0.5, 2)


def test_an_interval_holds_the_truth_as_often_as_it_says() -> None:
    place = random.Random(1)
    hits = 0
    for _ in range(2000):
        values = [place.gauss(0.3, 0.1) for _ in range(4)]
        half = half_width(values)
        assert half is not None
        hits += abs(statistics.fmean(values) - 0.3) <= half
    assert 0.935 < hits / 2000 < 0.965


def test_curves_of_an_index_are_those_of_its_rollouts(filled: Lab) -> None:
    with open_store(filled.workspace) as store:
        store.ingest()
        rows = store.page(Query(), limit=10_000).rows
        for measure in MEASURES:
            for curve in build_curves(store.per_step(), measure):
                for point in curve.points:
                    by_seed: defaultdict[int | None, list[float]] = defaultdict(list)
                    for row in rows:
                        if (row.condition, row.split, row.step) == (curve.condition, curve.split, point.step):
                            values: dict[str, float | None] = {
                                "accuracy": row.correct, "reward": row.reward, "length": row.length,
                                "tokens": row.n_tokens,
                            }  # fmt: skip
                            values.update(zip(BEHAVIORS, row.counts, strict=True))
                            value = values[measure]
                            if value is not None:
                                by_seed[row.seed].append(float(value))
                    assert point.mean == pytest.approx(statistics.fmean(map(statistics.fmean, by_seed.values())))
                    assert point.n == sum(map(len, by_seed.values()))


def test_summaries_of_a_filter_are_those_of_what_it_lets_through(store: Store) -> None:
    chosen = store.per_step(parse("condition:none split:train"))
    assert {(one.condition, one.split) for one in chosen} == {("none", "train")}
    assert chosen == [one for one in store.per_step() if (one.condition, one.split) == ("none", "train")]
    counted = store.per_step(parse("backtracking>=1"))
    assert sum(one.rollouts for one in counted) == store.count(Query(parse("backtracking>=1")))
    assert all((one.counts[1] or 0) >= 1 for one in counted)


def test_summaries_follow_what_is_judged_later(lab: Lab) -> None:
    folder, judged = lab.stage("ppo", 1, {"condition": "none"}), lab.judge_stage(2)
    rollouts = make_rollouts(folder.key, [0])
    write_rollouts(folder, rollouts)
    with open_store(lab.workspace) as store:
        store.ingest()
        assert [one.judged for one in store.per_step()] == [(0, 0, 0, 0)]
        write_judgements(judged, [line for one in rollouts for line in judge(one)])
        store.ingest()
        assert [one.judged for one in store.per_step()] == [(8, 8, 8, 8)]


def test_the_published_curves_are_there() -> None:
    points = published_points()
    assert {point.model for point in points} == {"llama", "qwen"}
    assert len(points) == len({(point.model, point.condition, point.step) for point in points})
    assert {"none", "all_strategies", "dots", "owm_rich", "owm_minimised"} <= {point.condition for point in points}
    curve = published_curve("llama", "backtracking_subgoal", "backtracking")
    assert curve[:2] == [(0, 2.93), (10, 4.245)]
    assert published_curve("llama", "backtracking_subgoal", "accuracy")[0] == (0, 0.17578125)
    assert published_curve("llama", "no such", "accuracy") == []
    assert published_teacher_accuracy()["only_backtracking"] == pytest.approx(0.42213, abs=1e-5)
    assert "backtracking_subgoal" in published_teacher_accuracy()
