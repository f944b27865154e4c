"""One-to-one matching of spans: maximum bipartite matching under overlap or intersection over union."""

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.records import Span

Interval = tuple[int, int]
"""Half-open code-point offsets."""

ANY_OVERLAP: Final = 0.0
"""Threshold that requires one shared character."""


def intersection_over_union(a: Interval, b: Interval) -> float:
    """Return the length of the intersection over the length of the union, 0 to 1."""
    common = min(a[1], b[1]) - max(a[0], b[0])
    if common <= 0:
        return 0.0
    return common / (max(a[1], b[1]) - min(a[0], b[0]))


def fits(a: Interval, b: Interval, threshold: float) -> bool:
    """Return whether two spans match: they share a character and their IoU reaches the threshold."""
    found = intersection_over_union(a, b)
    return found > 0.0 and found >= threshold


def maximum_matching(edges: Sequence[Sequence[int]], n_right: int) -> list[int]:
    """Return a maximum matching of a bipartite graph, by shortest augmenting paths.

    Args:
        edges: for each left node the right nodes it may be matched to.
        n_right: number of right nodes.

    Returns:
        For each left node its right node, or -1.
    """
    left = [-1] * len(edges)
    right = [-1] * n_right
    for root in range(len(edges)):
        reached_from: dict[int, int] = {}
        queue = deque([root])
        free = -1
        while queue and free < 0:
            node = queue.popleft()
            for other in edges[node]:
                if other in reached_from:
                    continue
                reached_from[other] = node
                if right[other] < 0:
                    free = other
                    break
                queue.append(right[other])
        while free >= 0:
            node = reached_from[free]
            free_before = left[node]
            left[node], right[free] = free, node
            free = free_before
    return left


def candidate_edges(left: Sequence[Interval], right: Sequence[Interval], threshold: float) -> list[list[int]]:
    """Return for each left span the right spans that match it, best first. `right` may be unsorted and overlap."""
    order = sorted(range(len(right)), key=lambda index: right[index])
    starts = [right[index][0] for index in order]
    longest = max((end - start for start, end in right), default=0)
    edges: list[list[int]] = []
    for span in left:
        low = bisect_left(starts, span[0] - longest)
        high = bisect_left(starts, span[1])
        near = [
            (-intersection_over_union(span, right[index]), index)
            for index in order[low:high]
            if fits(span, right[index], threshold)
        ]
        edges.append([index for _, index in sorted(near)])
    return edges


@dataclass(frozen=True, slots=True)
class SpanMatching:
    """The matching of predicted with gold spans of one behaviour in one trace."""

    hits: tuple[tuple[int, int], ...]
    """(predicted, gold) index pairs, gold neither weak nor repeat."""
    ignored: tuple[int, ...]
    """Predicted spans matched to weak or repeat gold: neither right nor wrong."""
    extra: tuple[int, ...]
    """Predicted spans without a partner, unaligned ones included."""
    missed: tuple[int, ...]
    """Gold spans, neither weak nor repeat, without a partner."""


def match_spans(predicted: Sequence[Span], gold: Sequence[Span], threshold: float = ANY_OVERLAP) -> SpanMatching:
    """Match as many predictions as possible: first with gold that counts, the rest with weak and repeat gold.

    Args:
        predicted: spans of one behaviour; an unaligned one can only be wrong.
        gold: spans of the same behaviour in the same text; an unaligned one (of a judge as reference) is missed.
        threshold: least intersection over union; `ANY_OVERLAP` asks for a shared character only.
    """
    placed = [(i, (span.start, span.end)) for i, span in enumerate(predicted) if span.start is not None and span.end]
    counted = [(i, span) for i, span in enumerate(gold) if not (span.weak or span.repeat)]
    strict = [(i, _interval(span)) for i, span in counted if span.start is not None]
    lenient = [_interval(span) for span in gold if (span.weak or span.repeat) and span.start is not None]
    edges = candidate_edges([place for _, place in placed], [place for _, place in strict], threshold)
    partners = maximum_matching(edges, len(strict))
    hits = tuple((placed[i][0], strict[j][0]) for i, j in enumerate(partners) if j >= 0)
    rest = [placed[i] for i, j in enumerate(partners) if j < 0]
    excused = maximum_matching(candidate_edges([place for _, place in rest], lenient, threshold), len(lenient))
    ignored = tuple(rest[i][0] for i, j in enumerate(excused) if j >= 0)
    settled = {i for i, _ in hits} | set(ignored)
    found = {j for _, j in hits}
    return SpanMatching(
        hits=hits,
        ignored=ignored,
        extra=tuple(i for i in range(len(predicted)) if i not in settled),
        missed=tuple(j for j, _ in counted if j not in found),
    )


def _interval(span: Span) -> Interval:
    assert span.start is not None
    assert span.end is not None
    return span.start, span.end
