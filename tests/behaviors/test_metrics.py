"""Matching, scores and reliability against values worked out by hand or in the literature."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.behaviors.metrics.bootstrap import cluster_sums, interval
from pipelines.behaviors.metrics.matching import (
    candidate_edges,
    fits,
    intersection_over_union,
    match_spans,
    maximum_matching,
)
from pipelines.behaviors.metrics.reliability import (
    count_agreement,
    kendall_tau,
    krippendorff_alpha,
    presence_agreement,
)
from pipelines.behaviors.metrics.scores import SpanTally, macro_f1
from pipelines.records import Span


def span(start: int, end: int, *, weak: bool = False, repeat: bool = False) -> Span:
    return Span(start=start, end=end, quote="x" * (end - start), weak=weak, repeat=repeat)


def test_intersection_over_union() -> None:
    assert intersection_over_union((0, 4), (2, 6)) == 2 / 6
    assert intersection_over_union((0, 4), (4, 6)) == 0.0
    assert intersection_over_union((0, 4), (0, 4)) == 1.0


def test_matching_is_of_largest_size_where_greedy_is_not() -> None:
    # The first prediction overlaps both gold spans, the second only the first: greedy would give the first away.
    matched = match_spans([span(0, 30), span(0, 9)], [span(0, 10), span(20, 30)])
    assert sorted(matched.hits) == [(0, 1), (1, 0)]
    assert matched.extra == matched.missed == ()


def test_weak_and_repeat_gold_is_neither_hit_nor_miss() -> None:
    gold = [span(0, 5), span(10, 15, weak=True), span(20, 25, repeat=True)]
    matched = match_spans([span(0, 5), span(11, 14), span(30, 35)], gold)
    assert matched.hits == ((0, 0),)
    assert matched.ignored == (1,)
    assert matched.extra == (2,)
    assert matched.missed == ()


def test_a_prediction_prefers_gold_that_counts() -> None:
    matched = match_spans([span(0, 10)], [span(0, 10, weak=True), span(8, 20)])
    assert matched.hits == ((0, 1),)


def test_unaligned_predictions_are_false() -> None:
    lost = Span(quote="nowhere", alignment="unaligned")
    assert match_spans([lost], [span(0, 3)]).extra == (0,)


def test_the_threshold_asks_for_overlap() -> None:
    predicted, gold = [span(0, 10)], [span(6, 20)]
    assert match_spans(predicted, gold).hits
    assert match_spans(predicted, gold, 0.5).missed == (0,)


intervals = st.tuples(st.integers(0, 30), st.integers(1, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(intervals, max_size=6), st.lists(intervals, max_size=6), st.sampled_from([0.0, 0.3, 0.5]))
def test_matching_is_valid_and_as_large_as_brute_force(
    left: list[tuple[int, int]], right: list[tuple[int, int]], threshold: float
) -> None:
    edges = candidate_edges(left, right, threshold)
    for place, near in zip(left, edges, strict=True):
        assert sorted(near) == [j for j, other in enumerate(right) if fits(place, other, threshold)]
    partners = maximum_matching(edges, len(right))
    used = [partner for partner in partners if partner >= 0]
    assert len(used) == len(set(used))
    assert all(partner in edges[i] for i, partner in enumerate(partners) if partner >= 0)
    best = 0
    small, large = (left, right) if len(left) <= len(right) else (right, left)
    for order in itertools.permutations(range(len(large)), len(small)):
        best = max(best, sum(fits(small[i], large[j], threshold) for i, j in enumerate(order)))
    assert len(used) == best


def test_scores() -> None:
    tally = SpanTally.sum([SpanTally(3, 1, 0, 2), SpanTally(1, 0, 2)])
    assert (tally.hits, tally.extra, tally.missed, tally.ignored) == (4, 1, 2, 2)
    assert tally.precision == pytest.approx(4 / 5)
    assert tally.recall == pytest.approx(4 / 6)
    assert tally.f1 == pytest.approx(8 / 11)


def test_what_is_undefined_is_none_and_in_no_mean() -> None:
    empty = SpanTally()
    assert empty.precision is empty.recall is empty.f1 is None
    assert SpanTally(0, 0, 2).f1 == 0.0
    assert macro_f1([empty, SpanTally(1, 0, 0), SpanTally(0, 1, 1)]) == 0.5
    assert macro_f1([empty]) is None


# Four coders, twelve units, with gaps: the example of Krippendorff (2011), and the values given there.
_: float | None = None
CODED: list[tuple[float | None, ...]] = [
    (1, 1, _, 1),
    (2, 2, 3, 2),
    (3, 3, 3, 3),
    (3, 3, 3, 3),
    (2, 2, 2, 2),
    (1, 2, 3, 4),
    (4, 4, 4, 4),
    (1, 1, 2, 1),
    (2, 2, 2, 2),
    (_, 5, 5, 5),
    (_, _, 1, 1),
    (_, _, 3, _),
]


def test_krippendorffs_alpha_as_published() -> None:
    assert krippendorff_alpha(CODED, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(CODED, "interval") == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha(CODED, "ratio") == pytest.approx(0.797, abs=5e-4)


def test_krippendorffs_alpha_by_hand() -> None:
    # Two coders, units (0,0) (1,1) (0,1): n = 6, three of each; observed 2, expected 18: 1 - 5 * 2 / 18.
    assert krippendorff_alpha([(0, 0), (1, 1), (0, 1)]) == pytest.approx(1 - 10 / 18)
    assert krippendorff_alpha([(1, 1), (1, 1)]) is None
    assert krippendorff_alpha([(1, None)]) is None
    assert krippendorff_alpha([]) is None


def test_kappa_by_hand() -> None:
    # 20 both, 5 only first, 10 only second, 15 neither: observed 0.7, chance 0.5 (Cohen's kappa 0.4).
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    found = presence_agreement(pairs)
    assert (found.both, found.only_first, found.only_second, found.neither) == (20, 5, 10, 15)
    assert found.kappa == pytest.approx(0.4)
    assert presence_agreement([(True, True)] * 3).kappa is None
    assert presence_agreement([]).kappa is None


def test_counts_by_hand() -> None:
    found = count_agreement([(2, 2), (0, 3), (5, 4)])
    assert found.n == 3
    assert found.exact == pytest.approx(1 / 3)
    assert found.bias == pytest.approx(2 / 3)
    assert found.mae == pytest.approx(4 / 3)
    assert found.mean_first == pytest.approx(7 / 3)
    assert found.mean_second == pytest.approx(3.0)
    assert count_agreement([]).bias is None


def test_kendalls_tau_by_hand() -> None:
    assert kendall_tau([1, 2, 3, 4], [1, 2, 3, 4]) == 1.0
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(4 / 6)
    # One tie in the first: five untied pairs against six, all of them in the same order.
    assert kendall_tau([1, 1, 2, 3], [1, 2, 3, 4]) == pytest.approx(5 / math.sqrt(30))
    assert kendall_tau([1, 1], [1, 2]) is None
    assert kendall_tau([1], [2]) is None


def test_intervals_resample_problems() -> None:
    rows = [(f"p{index % 20}", (float(index % 3), 1.0)) for index in range(200)]
    clusters = cluster_sums(rows)
    assert len(clusters) == 20
    assert list(clusters[0]) == [sum(index % 3 for index in range(0, 200, 20)), 10]

    def mean(total: tuple[float, ...]) -> float | None:
        return total[0] / total[1] if total[1] else None

    low_high = interval(clusters, mean)
    assert low_high is not None
    low, high = low_high
    value = sum(index % 3 for index in range(200)) / 200
    assert low < value < high
    assert high - low < 0.5
    assert interval(clusters, mean) == low_high
    assert interval(clusters[:1], mean) is None
    assert interval([(0.0, 0.0)] * 3, mean) is None


def test_a_reference_judges_unaligned_span_is_missed_and_breaks_nothing() -> None:
    lost = Span(quote="never said", alignment="unaligned", score=0.0)
    placed = Span(start=0, end=4, quote="said")
    matched = match_spans([placed], [lost, placed, lost.model_copy(update={"weak": True})])
    assert (matched.hits, matched.extra, matched.missed) == (((0, 1),), (), (0,))
