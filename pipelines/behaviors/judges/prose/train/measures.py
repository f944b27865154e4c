"""Agreement of a judge with labelled steps, thresholds, calibration, and intervals by trace."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

QUANTILES: Final = np.linspace(0.80, 0.9985, 120)
"""Shares of unmarked steps among which a threshold is sought."""


def kappa(gold: Bools, marked: Bools) -> float:
    """Cohen's kappa of two markings of the same steps; 0 where chance alone would agree."""
    n = len(gold)
    both, either = int((gold & marked).sum()), int((gold | marked).sum())
    observed = (n - either + both) / n
    chance = (int(gold.sum()) * int(marked.sum()) + int((~gold).sum()) * int((~marked).sum())) / n / n
    return (observed - chance) / (1 - chance) if chance < 1 else 0.0


def average_precision(gold: Bools, score: Floats) -> float:
    """Mean precision at the marked steps, in order of falling score."""
    hits = gold[np.argsort(-score, kind="stable")]
    return float((hits.cumsum() / np.arange(1, len(hits) + 1))[hits].mean()) if hits.any() else 0.0


SLACK: Final = 0.02
"""Kappa given up for a lower threshold: near its top the curve is flat, and the labels are sparser than people's."""


def best_threshold(gold: Bools, score: Floats) -> float:
    """Return the lowest score from which on to mark that is within `SLACK` of the highest kappa.

    Kappa is smoothed over neighbouring quantiles.
    """
    candidates = np.unique(np.quantile(score, QUANTILES))
    found = np.array([kappa(gold, score > each) for each in candidates])
    smooth = np.convolve(np.pad(found, 2, mode="edge"), np.ones(5) / 5, "valid")
    return float(candidates[np.flatnonzero(smooth >= smooth.max() - SLACK)[0]])


def fit_logistic(gold: Bools, logit: Floats) -> tuple[float, float]:
    """Fit probability = logistic(slope * logit + shift) by Newton's method; the slope is never negative."""
    target = gold.astype(np.float64)
    slope, shift = 1.0, 0.0
    for _ in range(50):
        p = 0.5 + 0.5 * np.tanh(0.5 * (slope * logit + shift))
        weight = p * (1 - p) + 1e-9
        gradient = np.array([((p - target) * logit).sum(), (p - target).sum()])
        cross = (weight * logit).sum()
        hessian = np.array([[(weight * logit * logit).sum(), cross], [cross, weight.sum()]]) + 1e-6 * np.eye(2)
        change = np.linalg.solve(hessian, gradient)
        slope, shift = slope - change[0], shift - change[1]
        if abs(change).max() < 1e-9:
            break
    return max(slope, 1e-3), shift


def calibration_error(gold: Bools, probability: Floats, bins: int = 10) -> float:
    """Expected calibration error: mean distance of probability and frequency, over bins of equal size."""
    order = np.argsort(probability, kind="stable")
    return float(
        sum(len(part) * abs(gold[part].mean() - probability[part].mean()) for part in np.array_split(order, bins))
        / len(gold)
    )


def kappa_interval(
    gold: Sequence[Bools], marked: Sequence[Bools], draws: int = 1_000, seed: int = 0
) -> tuple[list[float], list[tuple[float, float]], tuple[float, float]]:
    """Kappa by behaviour with 95 % intervals that resample traces.

    Args:
        gold, marked: for each trace a (steps, behaviours) array.

    Returns:
        Kappas, their intervals, and the interval of their mean.
    """
    rng = np.random.default_rng(seed)
    n, width = len(gold), gold[0].shape[1]
    # Counts of each trace: steps, gold, marked, both; a draw then only adds up.
    counts = np.array(
        [[[len(g), g[:, b].sum(), m[:, b].sum(), (g[:, b] & m[:, b]).sum()] for b in range(width)]
         for g, m in zip(gold, marked, strict=True)],
        np.float64,
    )  # fmt: skip
    found = _kappas(counts.sum(0))
    drawn = np.array([_kappas(counts[rng.integers(0, n, n)].sum(0)) for _ in range(draws)])
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    macro = np.quantile(drawn.mean(1), (0.025, 0.975))
    return found.tolist(), list(zip(low.tolist(), high.tolist(), strict=True)), (float(macro[0]), float(macro[1]))


def _kappas(counts: Floats) -> Floats:
    n, gold, marked, both = counts.T
    observed = (n - gold - marked + 2 * both) / n
    chance = (gold * marked + (n - gold) * (n - marked)) / n / n
    return np.where(chance < 1, (observed - chance) / np.maximum(1 - chance, 1e-12), 0.0)
