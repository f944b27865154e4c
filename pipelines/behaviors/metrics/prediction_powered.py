"""Mean counts of a judge, corrected by a sample of completions that people labelled: prediction-powered inference.

A judge that misses a third of all verifications reports two thirds of their mean count with a narrow interval. A gold
sample says how far the judge is off on average, and how precisely that is known:

    corrected mean = mean over all completions of λ f  +  mean over gold of (Y - λ f)

where f is the judge's value and Y the people's. With λ = 1 this is the estimator of Angelopoulos, Bates, Fannjiang,
Jordan and Zrnic 2023 ("Prediction-Powered Inference", Science 382, equation for the mean); λ chosen to make the second
term vary least is PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453, section 6). It is unbiased for any judge
if the gold completions are a random sample; a bad judge widens the interval and does not shift it.

What differs from the papers, because a gold sample here has tens of completions and not thousands:

- All completions of a gold sample's runs enter the first term, labelled ones with Y, so that the correction of a fully
  labelled run is exact and its judge error 0.
- The variance is the delete-one-problem jackknife (Efron and Stein 1981), as completions of one problem are not
  independent; it contains the uncertainty of λ, and its quantile is Student's t.
- λ is 1 below `TUNING_PROBLEMS` problems, where estimating it costs more than it gains, and stays within 0 and 1.
- One unit of squared error is added to that of the sample, as if one more completion had been miscounted by one. Five
  completions without an error do not show that there are none (a rate of 45 % gives none in 5 % of all samples).
- A judge may err differently in each run. The variance of its error between runs is estimated from the gold by analysis
  of variance (Searle, Casella and McCulloch 1992, section 3.6) and added.

`ppi-python` has the iid estimator with normal quantiles; it needs scipy, statsmodels, pandas and numba.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

MIN_GOLD: Final = 5
"""Fewer labelled completions give no correction."""
MIN_PROBLEMS: Final = 3
"""Gold of fewer problems gives no correction: its variance between problems is not known."""
TUNING_PROBLEMS: Final = 10
"""From this many problems on, λ is estimated."""
UNSEEN_ERROR: Final = 1.0
"""Squared error added to that of the sample: one count too many or too few, or presence instead of absence."""


_PAIR: Final = 2


class GoldPair(NamedTuple):
    """A labelled completion."""

    run: int
    """The run (seed) it belongs to."""
    problem: Hashable
    judged: float
    """The judge's value: a count, or 0 and 1 for presence."""
    gold: float
    """The people's value. May be fractional where their final label is a mean."""


class JudgedRun(NamedTuple):
    """All completions of one run as judged."""

    mean: float
    n: int


class VarianceComponent(NamedTuple):
    """A part of the variance of an estimate."""

    variance: float
    freedom: float
    """Degrees of freedom it is estimated with."""


@dataclass(frozen=True, slots=True)
class CorrectedMean:
    """A mean corrected by gold."""

    raw: float
    """Mean of the judge's values, runs with equal weight."""
    values: Mapping[int, float]
    """The corrected mean of each run. Their mean is the estimate; their spread is that between runs."""
    slope: float
    """λ: how much of a judge's value is used. 0 for a judge that says nothing about the people's labels."""
    gold: int
    """Labelled completions."""
    problems: int
    gold_runs: int
    """Runs that have labelled completions."""
    judge_error: tuple[VarianceComponent, ...]
    """Variance of the correction: of the gold sample, and of the judge's error between runs."""
    imbalance: float | None
    """How many standard errors the judge's mean on gold is from its mean on all completions. Above 3 the gold is hardly
    a random sample. None where the judge's values on gold are all equal."""

    @property
    def mean(self) -> float:
        """The corrected mean."""
        return math.fsum(self.values.values()) / len(self.values)


def correct_mean(runs: Mapping[int, JudgedRun], gold: Sequence[GoldPair]) -> CorrectedMean | None:
    """Correct the mean of a judge's values by labelled completions, which are a random sample of those judged.

    Args:
        runs: by seed, of one condition at one step.
        gold: the labelled completions among them.

    Returns:
        None with fewer than `MIN_GOLD` completions or `MIN_PROBLEMS` problems.
    """
    gold = [pair for pair in gold if pair.run in runs]
    clusters: dict[Hashable, _GoldSums] = {}
    for pair in gold:
        sums = clusters.setdefault(pair.problem, _GoldSums.zero())
        clusters[pair.problem] = sums + _GoldSums.of(pair, 1.0 / (len(runs) * runs[pair.run].n))
    if len(gold) < MIN_GOLD or len(clusters) < MIN_PROBLEMS:
        return None
    raw = math.fsum(run.mean for run in runs.values()) / len(runs)
    tuned = len(clusters) >= TUNING_PROBLEMS
    total = _GoldSums.zero()
    for sums in clusters.values():
        total = total + sums
    slope = total.slope() if tuned else 1.0
    share = len(gold) / sum(run.n for run in runs.values())
    left_out = [total - sums for sums in clusters.values()]
    jackknife = _jackknife_variance([one.estimate(raw, one.slope() if tuned else 1.0) for one in left_out])
    # Completions that are labelled have no error; the more of them, the less remains to be inferred.
    variance = (jackknife + UNSEEN_ERROR / (total.n * (total.n + 1))) * (1.0 - min(1.0, share) ** 2)
    components = [VarianceComponent(variance, len(clusters) - (2 if tuned else 1))]
    between, gold_runs = _between_runs(gold, slope)
    if between is not None and share < 1.0:
        components.append(between)
    return CorrectedMean(
        raw=raw,
        values=_values(runs, gold, total, slope),
        slope=slope,
        gold=len(gold),
        problems=len(clusters),
        gold_runs=gold_runs,
        judge_error=tuple(components),
        imbalance=_imbalance(clusters, total, raw),
    )


class _GoldSums(NamedTuple):
    """Sums over labelled completions, from which an estimate without some of them follows by subtraction."""

    n: float
    f: float
    y: float
    ff: float
    fy: float
    weight: float
    """Sum of 1 / (runs · completions of the run): the share of the mean that is labelled."""
    weighted_f: float
    weighted_y: float

    @classmethod
    def zero(cls) -> _GoldSums:
        return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    @classmethod
    def of(cls, pair: GoldPair, weight: float) -> _GoldSums:
        f, y = pair.judged, pair.gold
        return cls(1.0, f, y, f * f, f * y, weight, weight * f, weight * y)

    def __add__(self, other: tuple[float, ...]) -> _GoldSums:  # type: ignore[override]
        return _GoldSums(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other: tuple[float, ...]) -> _GoldSums:
        return _GoldSums(*(a - b for a, b in zip(self, other, strict=True)))

    def slope(self) -> float:
        """Return the λ with the least variance of Y - λ f, within 0 and 1; 1 for a judge whose values are all equal."""
        spread = self.ff - self.f * self.f / self.n
        if spread <= 1e-12:
            return 1.0
        return min(1.0, max(0.0, (self.fy - self.f * self.y / self.n) / spread))

    def estimate(self, raw: float, slope: float) -> float:
        """Return the corrected mean: λ f and the mean error where nothing is labelled, Y where it is."""
        error = (self.y - slope * self.f) / self.n
        labelled = self.weighted_y - slope * self.weighted_f - self.weight * error
        return slope * raw + error + labelled


def _values(
    runs: Mapping[int, JudgedRun], gold: Sequence[GoldPair], total: _GoldSums, slope: float
) -> dict[int, float]:
    error = (total.y - slope * total.f) / total.n
    values = {}
    for name, run in runs.items():
        labelled = math.fsum(pair.gold - slope * pair.judged - error for pair in gold if pair.run == name)
        values[name] = slope * run.mean + error + labelled / run.n
    return values


def _jackknife_variance(estimates: Sequence[float]) -> float:
    mean = math.fsum(estimates) / len(estimates)
    return (len(estimates) - 1) / len(estimates) * math.fsum((one - mean) ** 2 for one in estimates)


def _between_runs(gold: Sequence[GoldPair], slope: float) -> tuple[VarianceComponent | None, int]:
    """Return the variance of the mean error due to runs, by analysis of variance, and how many runs have gold."""
    errors: dict[int, list[float]] = {}
    for pair in gold:
        errors.setdefault(pair.run, []).append(pair.gold - slope * pair.judged)
    groups = len(errors)
    n = len(gold)
    if groups < _PAIR or n <= groups:
        return None, groups
    grand = math.fsum(value for found in errors.values() for value in found) / n
    means = {run: math.fsum(found) / len(found) for run, found in errors.items()}
    among = math.fsum(len(found) * (means[run] - grand) ** 2 for run, found in errors.items()) / (groups - 1)
    within = math.fsum((value - means[run]) ** 2 for run, found in errors.items() for value in found) / (n - groups)
    size = (n - math.fsum(len(found) ** 2 for found in errors.values()) / n) / (groups - 1)
    variance = max(0.0, (among - within) / size)
    return (VarianceComponent(variance / groups, groups - 1) if variance else None), groups


def _imbalance(clusters: Mapping[Hashable, _GoldSums], total: _GoldSums, raw: float) -> float | None:
    mean = total.f / total.n
    # Linearised variance of a ratio of cluster sums (Cochran 1977, section 9A.8).
    squares = math.fsum((sums.f - mean * sums.n) ** 2 for sums in clusters.values())
    error = math.sqrt(squares * len(clusters) / (len(clusters) - 1)) / total.n
    return (mean - raw) / error if error else None
