"""Percentile bootstrap intervals that resample problems, because traces of one problem are not independent."""

import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

RESAMPLES: Final = 1000
LEVEL: Final = 0.95

Vector = tuple[float, ...]


def cluster_sums(rows: Iterable[tuple[Hashable, Vector]]) -> list[Vector]:
    """Sum rows within their clusters, e.g. hits and misses within problems."""
    sums: dict[Hashable, list[float]] = {}
    for cluster, vector in rows:
        total = sums.setdefault(cluster, [0.0] * len(vector))
        for index, value in enumerate(vector):
            total[index] += value
    return [tuple(total) for total in sums.values()]


def interval(
    clusters: Sequence[Vector],
    statistic: Callable[[Vector], float | None],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of a statistic of summed vectors.

    Args:
        clusters: one summed vector a problem.
        statistic: from the sum over problems to a number; None where it is undefined.
        resamples: how many samples of problems are drawn, with replacement.
        level: share of them inside the interval.
        seed: of the drawing; the same seed gives the same interval.

    Returns:
        None with fewer than two problems, or where the statistic is mostly undefined.
    """
    return intervals(clusters, [statistic], resamples=resamples, level=level, seed=seed)[0]


def intervals(
    clusters: Sequence[Vector],
    statistics: Sequence[Callable[[Vector], float | None]],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> list[tuple[float, float] | None]:
    """Return the intervals of several statistics over the same samples, which are drawn once; see `interval`."""
    if len(clusters) < _TWO:
        return [None] * len(statistics)
    rng = random.Random(seed)
    found: list[list[float]] = [[] for _ in statistics]
    for _ in range(resamples):
        drawn = rng.choices(clusters, k=len(clusters))
        total = tuple(map(sum, zip(*drawn, strict=True)))
        for values, statistic in zip(found, statistics, strict=True):
            value = statistic(total)
            if value is not None:
                values.append(value)
    return [_percentiles(sorted(values), level) if len(values) >= resamples / _TWO else None for values in found]


_TWO: Final = 2


def _percentiles(values: Sequence[float], level: float) -> tuple[float, float]:
    tail = (1 - level) / 2
    return _quantile(values, tail), _quantile(values, 1 - tail)


def _quantile(values: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values by linear interpolation."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
