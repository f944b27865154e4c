"""Intervals over seeds, against values worked out by hand or by the textbook formula."""

import math
import statistics

import pytest

from cogtui.analysis.intervals import estimate_difference, estimate_mean, half_width


def test_a_mean_of_three_seeds() -> None:
    found = estimate_mean([0.60, 0.66, 0.72])
    assert found is not None
    assert found.mean == pytest.approx(0.66)
    assert found.half == pytest.approx(4.303 * 0.06 / math.sqrt(3))  # two degrees of freedom
    assert found.n == 3


def test_one_seed_has_no_interval_and_none_no_mean() -> None:
    one = estimate_mean([0.5])
    assert one is not None
    assert (one.mean, one.low, one.high) == (0.5, None, None)
    assert estimate_mean([]) is None
    assert half_width([1.0]) is None


def test_seeds_both_sides_have_are_paired() -> None:
    # The seeds differ much, the sides always by about 0.1: only pairing shows that.
    found = estimate_difference({1: 0.2, 2: 0.5, 3: 0.8, 9: 0.0}, {1: 0.1, 2: 0.39, 3: 0.71})
    assert found is not None
    assert (found.paired, found.n) == (True, 3)
    assert found.mean == pytest.approx(0.1)
    assert found.half == pytest.approx(4.303 * statistics.stdev([0.10, 0.11, 0.09]) / math.sqrt(3))
    assert found.low is not None
    assert found.low > 0


def test_other_seeds_are_independent() -> None:
    first, second = {1: 0.5, 2: 0.7}, {3: 0.1, 4: 0.2, 5: 0.3}
    found = estimate_difference(first, second)
    assert found is not None
    assert not found.paired
    assert found.mean == pytest.approx(0.4)
    parts = [0.02 / 2, 0.01 / 3]
    freedom = int(sum(parts) ** 2 / (parts[0] ** 2 / 1 + parts[1] ** 2 / 2))
    assert freedom == 1
    assert found.half == pytest.approx(12.706 * math.sqrt(sum(parts)))


def test_one_seed_a_side_gives_a_difference_without_interval() -> None:
    same = estimate_difference({1: 0.6}, {1: 0.2})
    other = estimate_difference({1: 0.6}, {2: 0.2})
    assert same is not None
    assert other is not None
    assert (same.paired, same.half, other.paired, other.half) == (True, None, False, None)
    assert same.mean == other.mean == pytest.approx(0.4)
    assert estimate_difference({1: 0.6}, {}) is None
