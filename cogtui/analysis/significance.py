"""Tests beside the intervals over seeds: bootstrap over problems, p-values, Holm's correction, seeds still needed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from cogtui.analysis.intervals import student_t_quantile

RESAMPLES: Final = 10_000
POWER: Final = 0.8
"""Probability with which the seeds of `seeds_needed` decide the comparison."""
MOST_SEEDS: Final = 100
_SEED: Final = 20250301
_BLOCK: Final = 500
_DRAWS: Final = 20_000


@dataclass(frozen=True, slots=True)
class ProblemEstimate:
    """A mean over problems with its 95 % bootstrap interval: what other problems of the same kind would give."""

    mean: float
    low: float
    high: float
    problems: int

    @property
    def half(self) -> float:
        """Half the width of the interval, which need not be symmetrical."""
        return (self.high - self.low) / 2

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "problems": self.problems}


def bootstrap_over_problems(values: Mapping[str, float]) -> ProblemEstimate | None:
    """Estimate the mean of a value a problem by the cluster bootstrap: whole problems are drawn with replacement.

    A problem keeps all its completions, conditions and seeds together in its value, so the test of a difference is
    paired by problem. The percentile interval is over 10,000 resamples drawn with a fixed seed.

    Args:
        values: by problem, for example the difference of two accuracies.

    Returns:
        None with fewer than two problems.
    """
    if len(values) < 2:
        return None
    import numpy as np

    # In the order of the ids, so that the resamples do not depend on the order of the files.
    found = np.array([values[problem] for problem in sorted(values)])
    generator = np.random.default_rng(_SEED)
    means = [
        found[generator.integers(0, len(found), (_BLOCK, len(found)))].mean(axis=1) for _ in range(RESAMPLES // _BLOCK)
    ]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return ProblemEstimate(float(found.mean()), float(low), float(high), len(found))


def student_t_p(t: float, freedom: int) -> float:
    """Return the two-sided p-value of Student's t. Source: Abramowitz and Stegun 26.7.3 and 26.7.4."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = total = (cosine if freedom > 1 else 0.0) if odd else 1.0
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    inside = (2 / math.pi) * (angle + sine * total) if odd else sine * total
    return min(1.0, max(0.0, 1.0 - inside))


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number by Holm's step-down method, in the order given."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def seeds_needed(mean: float, deviation: float) -> int | None:
    """Return how many seeds decide a difference with a probability of 0.8, if mean and deviation stay as they are.

    Args:
        mean: of the difference over seeds.
        deviation: standard deviation of the difference between seeds.

    Returns:
        None if more than 100 seeds are needed.
    """
    if mean == 0:
        return None
    if deviation == 0:
        return 2
    effect = abs(mean) / deviation
    low, high = 2, MOST_SEEDS
    if _power(effect, high) < POWER:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle) >= POWER else (middle + 1, high)
    return low


def _power(effect: float, seeds: int) -> float:
    """Return the probability that the interval over seeds excludes zero on the right side, by simulation."""
    normal, chi_square = _draws(seeds)
    import numpy as np

    t = (normal + effect * math.sqrt(seeds)) / np.sqrt(chi_square / (seeds - 1))
    return float((t > student_t_quantile(seeds - 1)).mean())


@cache
def _draws(seeds: int) -> tuple[Any, Any]:
    import numpy as np

    generator = np.random.default_rng(_SEED)
    return generator.standard_normal(_DRAWS), generator.chisquare(seeds - 1, _DRAWS)


def mean_by_problem(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Average values a problem over seeds, for the problems that every seed has."""
    found = list(parts)
    if not found:
        return {}
    common = set(found[0]).intersection(*found[1:])
    return {problem: math.fsum(part[problem] for part in found) / len(found) for problem in common}
