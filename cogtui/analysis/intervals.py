"""Means and differences over seeds, with 95 % intervals by Student's t.

A seed is one independent run. Few seeds give wide intervals; a single seed gives none. Means of counts that were
corrected by gold have intervals that contain the judge's error too (`add_judge_error`).
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pipelines.behaviors.metrics.prediction_powered import VarianceComponent

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T_95: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z_95: Final = 1.959964
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
    judge_half: float | None = None
    """Half the width of the 95 % interval of the judge's error alone, which `half` contains; None where the mean was
    not corrected by gold."""

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
        found = {"mean": self.mean, "low": self.low, "high": self.high, "n": self.n}
        return found if self.judge_half is None else found | {"judge_half": self.judge_half}


def student_t_quantile(freedom: float) -> float:
    """Return the two-sided 95 % quantile of Student's t.

    Beyond 30 degrees by the expansion of Abramowitz and Stegun 26.7.5; between whole degrees interpolated linearly.
    """
    if freedom > len(_T_95):
        z = _Z_95
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    low = max(1, int(freedom))
    part = max(0.0, freedom - low)
    return _T_95[low - 1] if not part else _T_95[low - 1] * (1 - part) + _T_95[low] * part


def add_judge_error(seeds: MeanEstimate, components: Iterable[VarianceComponent]) -> MeanEstimate:
    """Widen an interval over seeds by the variance of a judge's error.

    The variances add; the degrees of freedom are Satterthwaite's. With two seeds that approximation is too narrow, so
    the interval is never narrower than that over seeds or that of the judge's error alone.

    Returns:
        The estimate with `judge_half`; without an interval where there is none over seeds.
    """
    errors = [one for one in components if one.variance]
    judge = _half_of(errors)
    if seeds.half is None or not seeds.freedom:
        return replace(seeds, judge_half=judge)
    spread = (seeds.half / student_t_quantile(seeds.freedom)) ** 2
    parts = [VarianceComponent(spread, seeds.freedom), *errors]
    half = max(seeds.half, judge, _half_of(parts))
    return replace(seeds, half=half, freedom=max(1, int(_satterthwaite(parts) or seeds.freedom)), judge_half=judge)


def _half_of(parts: Sequence[VarianceComponent]) -> float:
    freedom = _satterthwaite(parts)
    return 0.0 if freedom is None else student_t_quantile(freedom) * math.sqrt(sum(one.variance for one in parts))


def _satterthwaite(parts: Sequence[VarianceComponent]) -> float | None:
    """Return the degrees of freedom of a sum of variances (Satterthwaite 1946); None where the sum is 0."""
    shares = sum(one.variance**2 / one.freedom for one in parts)
    return sum(one.variance for one in parts) ** 2 / shares if shares else None


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
