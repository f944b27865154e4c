"""Agreement of judges on counts, on presence, and on the orderings that follow from counts."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

MeasurementLevel = Literal["nominal", "interval", "ratio"]


@dataclass(frozen=True, slots=True)
class CountAgreement:
    """Agreement of two judges' counts of one behaviour over traces; None throughout without traces."""

    n: int
    exact: float | None
    """Share of traces with equal counts."""
    bias: float | None
    """Mean of second minus first."""
    mae: float | None
    """Mean absolute difference."""
    mean_first: float | None
    mean_second: float | None
    alpha: float | None
    """Krippendorff's alpha of the counts, interval level."""


def count_agreement(pairs: Sequence[tuple[int, int]]) -> CountAgreement:
    """Measure the agreement of (first, second) counts, one pair a trace."""
    n = len(pairs)
    if not n:
        return CountAgreement(0, None, None, None, None, None, None)
    return CountAgreement(
        n=n,
        exact=sum(first == second for first, second in pairs) / n,
        bias=sum(second - first for first, second in pairs) / n,
        mae=sum(abs(second - first) for first, second in pairs) / n,
        mean_first=sum(first for first, _ in pairs) / n,
        mean_second=sum(second for _, second in pairs) / n,
        alpha=krippendorff_alpha(pairs, "interval"),
    )


@dataclass(frozen=True, slots=True)
class PresenceAgreement:
    """The 2x2 table of presence in traces, with Cohen's kappa and Krippendorff's alpha (nominal)."""

    both: int
    only_first: int
    only_second: int
    neither: int
    kappa: float | None
    alpha: float | None


def presence_agreement(pairs: Sequence[tuple[bool, bool]]) -> PresenceAgreement:
    """Measure the agreement of two judges on whether a behaviour occurs, one pair a trace.

    Kappa and alpha are None where chance agreement is certain (all traces alike), which says nothing either way.
    """
    table = Counter(pairs)
    both, first = table[True, True], table[True, False]
    second, neither = table[False, True], table[False, False]
    n = len(pairs)
    kappa = None
    if n:
        observed = (both + neither) / n
        chance = ((both + first) * (both + second) + (neither + second) * (neither + first)) / n**2
        kappa = (observed - chance) / (1 - chance) if chance < 1 else None
    alpha = krippendorff_alpha([(int(a), int(b)) for a, b in pairs], "nominal")
    return PresenceAgreement(both, first, second, neither, kappa, alpha)


def krippendorff_alpha(units: Sequence[Sequence[float | None]], level: MeasurementLevel = "nominal") -> float | None:
    """Compute Krippendorff's alpha for any number of coders, with gaps (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability").

    Args:
        units: for each unit the values its coders gave; None where a coder gave none.
        level: how far two values differ: `nominal` equal or not, `interval` squared difference, `ratio`
            squared difference relative to the sum.

    Returns:
        1 for perfect agreement, 0 for chance; None where no unit has two values, or all values are the same.
    """
    distance = _DISTANCES[level]
    paired = [[value for value in unit if value is not None] for unit in units]
    paired = [unit for unit in paired if len(unit) > 1]
    totals: Counter[float] = Counter(value for unit in paired for value in unit)
    n = sum(totals.values())
    expected = sum(
        count * other_count * distance(value, other)
        for value, count in totals.items()
        for other, other_count in totals.items()
    )
    if n <= 1 or expected == 0:
        return None
    observed = sum(sum(distance(value, other) for value in unit for other in unit) / (len(unit) - 1) for unit in paired)
    return 1 - (n - 1) * observed / expected


def _nominal(a: float, b: float) -> float:
    return float(a != b)


def _interval(a: float, b: float) -> float:
    return (a - b) ** 2


def _ratio(a: float, b: float) -> float:
    return ((a - b) / (a + b)) ** 2 if a + b else 0.0


_DISTANCES: Final[dict[MeasurementLevel, Callable[[float, float], float]]] = {
    "nominal": _nominal,
    "interval": _interval,
    "ratio": _ratio,
}


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Kendall's tau-b of two scorings of the same items: 1 the same order, -1 reversed.

    Returns:
        None where one of them does not order anything (fewer than two things, or all tied).
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}")
    together = first_ties = second_ties = pairs = 0
    for i in range(len(first)):
        for j in range(i):
            pairs += 1
            a, b = _sign(first[i] - first[j]), _sign(second[i] - second[j])
            together += a * b
            first_ties += a == 0
            second_ties += b == 0
    scale = math.sqrt((pairs - first_ties) * (pairs - second_ties))
    return together / scale if scale else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
