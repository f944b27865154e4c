"""Calibration of a judge's probabilities: reliability curve, expected calibration error, Brier score."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

BINS: Final = 10


class ScoredSpan(NamedTuple):
    """A predicted span with its probability."""

    score: float
    """0 to 1."""
    right: bool
    """Whether it matches gold."""


class ReliabilityBin(NamedTuple):
    """The predictions in an interval of probabilities."""

    low: float
    high: float
    n: int
    confidence: float
    """Their mean probability."""
    accuracy: float
    """Share of them that are right."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities agree with how often they are right."""

    n: int
    bins: tuple[ReliabilityBin, ...]
    """Those with a prediction, by probability."""
    ece: float
    """Expected calibration error: mean distance of confidence and accuracy over bins, weighted by their predictions.
    Biased upwards with few predictions a bin."""
    brier: float
    """Mean squared distance of probability and outcome."""


def measure_calibration(predictions: Sequence[ScoredSpan], bins: int = BINS) -> Calibration | None:
    """Measure the calibration of predicted spans.

    Source: Naeini, Cooper and Hauskrecht 2015 (expected calibration error, bins of equal width); Brier 1950.

    Args:
        predictions: probabilities with outcomes. Spans that a judge did not report are not among them, so this says
            nothing about probabilities below its thresholds.
        bins: number of intervals of equal width.

    Returns:
        None without predictions.
    """
    if not predictions:
        return None
    found: dict[int, list[ScoredSpan]] = {}
    for one in predictions:
        found.setdefault(min(bins - 1, int(one.score * bins)), []).append(one)
    made = tuple(
        ReliabilityBin(
            place / bins,
            (place + 1) / bins,
            len(inside),
            math.fsum(one.score for one in inside) / len(inside),
            sum(one.right for one in inside) / len(inside),
        )
        for place, inside in sorted(found.items())
    )
    n = len(predictions)
    return Calibration(
        n=n,
        bins=made,
        ece=math.fsum(one.n * abs(one.confidence - one.accuracy) for one in made) / n,
        brier=math.fsum((one.score - one.right) ** 2 for one in predictions) / n,
    )
