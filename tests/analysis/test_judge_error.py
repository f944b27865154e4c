"""Means corrected by gold: coverage in simulations, and the cases a statistician would try first."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from cogtui.analysis.gold_correction import widen_estimate
from cogtui.analysis.intervals import (
    MeanEstimate,
    add_judge_error,
    estimate_difference,
    estimate_mean,
    student_t_quantile,
)
from pipelines.behaviors.metrics.prediction_powered import (
    CorrectedMean,
    GoldPair,
    JudgedRun,
    VarianceComponent,
    correct_mean,
)

Counts = NDArray[np.int64]
JudgeModel = Callable[[np.random.Generator, Counts], Counts]

SEEDS, PROBLEMS, SAMPLES = 5, 60, 2


def misses_a_third(rng: np.random.Generator, truth: Counts) -> Counts:
    """Finds 70 % of what is there, and a fifth of an instance that is not."""
    return rng.binomial(truth, 0.7) + rng.poisson(0.2, truth.shape)


def perfect(_: np.random.Generator, truth: Counts) -> Counts:
    return truth


def constant(_: np.random.Generator, truth: Counts) -> Counts:
    return np.full(truth.shape, 2)


def noise(rng: np.random.Generator, truth: Counts) -> Counts:
    return rng.poisson(3, truth.shape)


def differs_by_seed(rng: np.random.Generator, truth: Counts) -> Counts:
    """Finds between 40 and 100 %, depending on the seed."""
    return rng.binomial(truth, np.clip(rng.normal(0.7, 0.15, (len(truth), 1, 1)), 0, 1))


def coverage(
    judge: JudgeModel, *, draws: int, gold: int, mean: float = 2.0, skew: float = 0.0, whole_problems: bool = False
) -> tuple[float, float]:
    """Shares of draws in which the corrected and the raw interval contain the mean over all seeds.

    Args:
        judge: its counts from the true ones.
        draws: experiments simulated.
        gold: labelled completions, spread over the seeds.
        mean: true count a completion.
        skew: shape of the gamma distribution of a completion's rate; 0 for none.
        whole_problems: all completions of few problems are labelled, and problems differ more.
    """
    rng = np.random.default_rng(1)
    corrected = raw = 0
    for _ in range(draws):
        spread = 0.5 if whole_problems else 0.3
        problems = mean * np.exp(rng.normal(-(spread**2) / 2, spread, (1, PROBLEMS, 1)))
        rates = np.maximum(problems + rng.normal(0, mean * 0.075, (SEEDS, 1, 1)), 0.002)
        rates = np.broadcast_to(rates, (SEEDS, PROBLEMS, SAMPLES))
        truth = rng.poisson(rng.gamma(skew, rates / skew) if skew else rates)
        judged = judge(rng, truth)
        order = rng.permutation(PROBLEMS)
        if whole_problems:
            each = SEEDS * SAMPLES
            places = [(i % SEEDS, order[i // each], i // SEEDS % SAMPLES) for i in range(gold)]
        else:
            places = [(i % SEEDS, order[i % PROBLEMS], int(rng.integers(SAMPLES))) for i in range(gold)]
        pairs = [GoldPair(s, int(p), float(judged[s, p, k]), float(truth[s, p, k])) for s, p, k in places]
        found = correct_mean({s: JudgedRun(float(judged[s].mean()), judged[s].size) for s in range(SEEDS)}, pairs)
        assert found is not None
        corrected += _contains(interval(found), float(problems.mean()))
        before = estimate_mean([float(one.mean()) for one in judged])
        raw += before is not None and _contains(before, float(problems.mean()))
    return corrected / draws, raw / draws


def interval(found: CorrectedMean) -> MeanEstimate:
    over_seeds = estimate_mean(list(found.values.values()))
    assert over_seeds is not None
    return add_judge_error(over_seeds, found.judge_error)


def _contains(found: MeanEstimate, value: float) -> bool:
    assert found.low is not None
    assert found.high is not None
    return found.low <= value <= found.high


def test_a_corrected_interval_covers_the_truth_as_often_as_it_says() -> None:
    corrected, raw = coverage(misses_a_third, draws=1000, gold=30)
    assert 0.93 <= corrected <= 0.97
    assert raw < 0.1


@pytest.mark.parametrize(
    ("judge", "gold", "options", "least"),
    [
        (misses_a_third, 60, {"whole_problems": True}, 0.91),
        (misses_a_third, 20, {"skew": 0.3, "mean": 1.0}, 0.90),
        (misses_a_third, 40, {"mean": 0.1}, 0.92),
        (perfect, 20, {}, 0.93),
        (constant, 20, {}, 0.93),
        (noise, 30, {}, 0.93),
        (differs_by_seed, 30, {}, 0.94),
    ],
    ids=["whole problems", "skewed", "rare", "perfect", "constant", "noise", "differs by seed"],
)
def test_coverage_where_a_statistician_would_try(
    judge: JudgeModel, gold: int, options: dict[str, float], least: float
) -> None:
    corrected, _ = coverage(judge, draws=300, gold=gold, **options)  # type: ignore[arg-type]
    assert corrected >= least


def pairs_of(counts: list[tuple[int, int]], runs: int = 1) -> list[GoldPair]:
    return [GoldPair(i % runs, i, judged, gold) for i, (judged, gold) in enumerate(counts)]


def test_the_estimate_is_the_judges_mean_and_the_mean_error_of_gold() -> None:
    found = correct_mean({0: JudgedRun(2.0, 10_000)}, pairs_of([(1, 2), (2, 2), (3, 5), (0, 0), (2, 4)]))
    assert found is not None
    assert found.slope == 1.0  # too few problems to estimate it
    assert found.mean == pytest.approx(2.0 + 5 / 5, abs=1e-3)
    assert found.raw == 2.0


def test_a_run_that_is_labelled_in_full_has_its_true_mean_and_no_judge_error() -> None:
    counts = [(1, 2), (2, 2), (3, 5), (0, 0), (2, 4), (1, 1)]
    found = correct_mean({0: JudgedRun(9 / 6, 6)}, pairs_of(counts))
    assert found is not None
    assert found.mean == pytest.approx(14 / 6)
    assert sum(one.variance for one in found.judge_error) == 0


def test_a_judge_that_says_nothing_is_not_used() -> None:
    rng = np.random.default_rng(3)
    counts = [(int(a), int(b)) for a, b in zip(rng.poisson(9, 60), rng.poisson(2, 60), strict=True)]
    found = correct_mean({0: JudgedRun(9.0, 5000)}, pairs_of(counts))
    assert found is not None
    assert found.slope < 0.15
    assert found.mean == pytest.approx(np.mean([gold for _, gold in counts]), abs=0.15)


def test_gold_without_an_error_does_not_show_that_there_is_none() -> None:
    found = correct_mean({0: JudgedRun(2.0, 1000)}, pairs_of([(2, 2)] * 5))
    assert found is not None
    estimate = interval(found)
    assert found.mean == 2.0
    assert estimate.half is None  # one seed
    assert estimate.judge_half is not None
    assert 0.4 < estimate.judge_half < 0.6


def test_too_little_gold_gives_no_correction() -> None:
    run = {0: JudgedRun(2.0, 100)}
    assert correct_mean(run, pairs_of([(1, 2)] * 4)) is None
    assert correct_mean(run, []) is None
    assert correct_mean(run, [GoldPair(0, i % 2, 1, 2) for i in range(20)]) is None  # of two problems
    assert correct_mean(run, [GoldPair(7, i, 1, 2) for i in range(20)]) is None  # of a run that is not there


def test_gold_that_is_no_random_sample_shows() -> None:
    run = {0: JudgedRun(1.0, 1000)}
    chosen = correct_mean(run, pairs_of([(4, 4), (5, 5), (4, 3), (6, 6), (5, 5), (4, 4)]))
    drawn = correct_mean(run, pairs_of([(1, 1), (0, 0), (2, 2), (1, 1), (0, 0), (2, 1)]))
    assert chosen is not None
    assert drawn is not None
    assert chosen.imbalance is not None
    assert drawn.imbalance is not None
    assert chosen.imbalance > 3 > abs(drawn.imbalance)


def test_judge_error_widens_an_interval_and_never_narrows_it() -> None:
    seeds = MeanEstimate(2.0, 12.706 * 0.1, 2, freedom=1)
    wide = add_judge_error(seeds, [VarianceComponent(0.04, 20)])
    assert wide.half is not None
    assert wide.half >= 12.706 * 0.1
    assert wide.judge_half == pytest.approx(2.086 * 0.2, abs=1e-3)
    far = add_judge_error(MeanEstimate(2.0, 4.303 * 0.1, 3, freedom=2), [VarianceComponent(4.0, 30)])
    assert far.half == pytest.approx(2.04 * math.sqrt(4.01), rel=0.01)
    assert add_judge_error(seeds, []).half == seeds.half


def test_quantiles_of_students_t_go_on_beyond_the_table() -> None:
    # Source: NIST/SEMATECH e-Handbook, table 1.3.6.7.2.
    for freedom, value in ((1, 12.706), (30, 2.042), (40, 2.021), (60, 2.000), (100, 1.984), (10_000, 1.960)):
        assert student_t_quantile(freedom) == pytest.approx(value, abs=1e-3)
    assert student_t_quantile(2.5) == pytest.approx((4.303 + 3.182) / 2)


def test_the_difference_of_two_conditions_is_covered_where_the_judge_errs_differently_in_each() -> None:
    rng = np.random.default_rng(2)
    covered = raw = 0
    for _ in range(300):
        problems = np.exp(rng.normal(-0.045, 0.3, (1, PROBLEMS, 1)))
        sides, uncorrected = [], []
        for mean, found in ((2.0, 0.7), (1.5, 0.95)):
            rates = np.maximum(mean * problems + rng.normal(0, 0.15, (SEEDS, 1, 1)), 0.002)
            truth = rng.poisson(np.broadcast_to(rates, (SEEDS, PROBLEMS, SAMPLES)))
            judged = rng.binomial(truth, found)
            places = [(i % SEEDS, problem, 0) for i, problem in enumerate(rng.permutation(PROBLEMS)[:20])]
            pairs = [GoldPair(at[0], int(at[1]), float(judged[at]), float(truth[at])) for at in places]
            runs = {seed: JudgedRun(float(one.mean()), one.size) for seed, one in enumerate(judged)}
            corrected = correct_mean(runs, pairs)
            assert corrected is not None
            sides.append(corrected)
            uncorrected.append({s: float(judged[s].mean()) for s in range(SEEDS)})
        between = estimate_difference(sides[0].values, sides[1].values)
        widened = widen_estimate(between, [(1.0, sides[0]), (-1.0, sides[1])])
        difference = 0.5 * float(problems.mean())
        covered += _contains(widened, difference)
        before = estimate_difference(uncorrected[0], uncorrected[1])
        raw += before is not None and _contains(before, difference)
    assert covered / 300 >= 0.93
    assert raw / 300 < 0.5
