"""Means and differences over seeds, with 95 % intervals by Student's t.

A seed is one independent run. Few seeds give wide intervals; a single seed gives none.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom; beyond, the normal quantile is used.
_T_95: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z_95: Final = 1.960
_PAIR: Final = 2


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean over independent runs."""

    mean: float
    half: float | None
    """Half the width of the 95 % interval; None with fewer than two runs."""
    n: int
    """Number of runs."""
    paired: bool = False
    """For a difference, whether both sides have the same seeds."""
    freedom: int | None = None
    """Degrees of freedom of the interval; None without one."""

    @property
    def standard_error(self) -> float | None:
        """The standard error of the mean; None without an interval."""
        return None if self.half is None or not self.freedom else self.half / student_t_quantile(self.freedom)

    @property
    def low(self) -> float | None:
        """Lower end of the interval."""
        return None if self.half is None else self.mean - self.half

    @property
    def high(self) -> float | None:
        """Upper end of the interval."""
        return None if self.half is None else self.mean + self.half

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}


def student_t_quantile(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t."""
    return _T_95[freedom - 1] if freedom <= len(_T_95) else _Z_95


def half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % interval of a mean; None for fewer than two values."""
    if len(values) < _PAIR:
        return None
    return student_t_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def estimate_mean(values: Sequence[float]) -> MeanEstimate | None:
    """Estimate a mean with its interval; None for no values."""
    return (
        MeanEstimate(statistics.fmean(values), half_width(values), len(values), freedom=len(values) - 1)
        if values
        else None
    )


def estimate_difference(first: Mapping[int, float], second: Mapping[int, float]) -> MeanEstimate | None:
    """Estimate the first mean minus the second, by seed.

    Seeds that both sides have are paired, because they share problems and base model; other seeds are left out. With
    fewer than two common seeds the sides are treated as independent (Welch, degrees of freedom rounded down).

    Returns:
        None where a side is empty.
    """
    common = sorted(set(first) & set(second))
    if len(common) >= _PAIR or (common and len(first) == len(second) == 1):
        found = [first[seed] - second[seed] for seed in common]
        return MeanEstimate(statistics.fmean(found), half_width(found), len(found), paired=True, freedom=len(found) - 1)
    if not first or not second:
        return None
    mean = statistics.fmean(first.values()) - statistics.fmean(second.values())
    n = min(len(first), len(second))
    if n < _PAIR:
        return MeanEstimate(mean, None, n)
    parts = [statistics.variance(side.values()) / len(side) for side in (first, second)]
    spread = sum(parts)
    if spread == 0:
        return MeanEstimate(mean, 0.0, n, freedom=n - 1)
    shares = sum(part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True))
    freedom = max(1, int(spread**2 / shares))
    return MeanEstimate(mean, student_t_quantile(freedom) * math.sqrt(spread), n, freedom=freedom)
