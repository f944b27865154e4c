"""Distances between behaviours, worked out once at ingest so that patterns are a comparison of numbers."""

from collections.abc import Sequence
from typing import Final

from pipelines.records import BEHAVIORS

N: Final = len(BEHAVIORS)
_FAR: Final = 1 << 62
Placed = tuple[int, int, int]
"""Start, end, number of the behaviour."""


def gaps(ranges: Sequence[Sequence[tuple[int, int]]]) -> tuple[int | None, ...]:
    """For each ordered pair of behaviours the least distance from one to the next, in code points.

    B follows A where B starts no earlier than A does; the distance is from A's end to B's start, and 0 where they
    overlap. Of two spans of the same behaviour the later must also start later.

    Args:
        ranges: by behaviour, in the order of `BEHAVIORS`, the (start, end) of its placed spans.

    Returns:
        `N * N` distances, A before B in row-major order; None where no B follows an A.
    """
    placed = sorted([(start, end, behavior) for behavior, spans in enumerate(ranges) for start, end in spans])
    least = [_FAR] * (N * N)
    # The farthest end so far, by behaviour: the end of the nearest A for any later B. Written out for the four of
    # them, because this is done for every judged rollout.
    first = second = third = fourth = -_FAR
    before = -1
    for start, end, behavior in placed:
        if start == before:
            return _gaps_of_ties(placed)
        before = start
        if start - first < least[behavior]:
            least[behavior] = start - first
        if start - second < least[behavior + N]:
            least[behavior + N] = start - second
        if start - third < least[behavior + 2 * N]:
            least[behavior + 2 * N] = start - third
        if start - fourth < least[behavior + 3 * N]:
            least[behavior + 3 * N] = start - fourth
        if behavior == 0:
            first = end if end > first else first
        elif behavior == 1:
            second = end if end > second else second
        elif behavior == 2:
            third = end if end > third else third
        else:
            fourth = end if end > fourth else fourth
    return _bounded(least)


def _bounded(least: Sequence[int]) -> tuple[int | None, ...]:
    return tuple([None if gap >= _FAR else gap if gap > 0 else 0 for gap in least])


def _gaps_of_ties(placed: Sequence[Placed]) -> tuple[int | None, ...]:
    """The same where some spans start together."""
    least = [_FAR] * (N * N)
    ends = [-_FAR] * N
    index = 0
    while index < len(placed):
        following = index + 1
        while following < len(placed) and placed[following][0] == placed[index][0]:
            following += 1
        _follow_together(placed[index:following], ends, least)
        index = following
    return _bounded(least)


def _follow_together(group: Sequence[Placed], ends: list[int], least: list[int]) -> None:
    """Spans that start at the same place follow each other, in both directions, but not their own kind."""
    earlier = ends.copy()
    for _, end, behavior in group:
        ends[behavior] = max(ends[behavior], end)
    for start, _, behavior in group:
        for first in range(N):
            until = earlier[first] if first == behavior else ends[first]
            place = first * N + behavior
            least[place] = min(least[place], start - until)
