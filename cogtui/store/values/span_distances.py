"""Distances between spans of behaviours, computed at ingest so that a pattern filter compares numbers."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from pipelines.behaviors.sets.registered import BEHAVIOR_SETS

SET_SLICES: Final = tuple(
    slice(end - len(one.names), end)
    for one, end in zip(BEHAVIOR_SETS, accumulate(len(one.names) for one in BEHAVIOR_SETS), strict=True)
)
"""Where the behaviours of each set are in `BEHAVIORS`; patterns are of two behaviours of one set."""
NO_DISTANCE: Final = -1
"""Stands for NULL, because binding None takes `sqlite3` ten times as long as binding a number."""
_FAR: Final = 1 << 62
_NEAR: Final = 1 << 29
"""Below this, sums are one-digit integers in CPython, which are twice as fast."""
PlacedSpan = tuple[int, int, int]
"""Start, end, index of the behaviour in `BEHAVIORS`."""


def span_distances(ranges: Sequence[Sequence[tuple[int, int]]]) -> tuple[int, ...]:
    """Return for each ordered pair of behaviours of a set the least distance from one to the next, in code points.

    Span B follows span A if it starts no earlier; the distance is from the end of A to the start of B, 0 if they
    overlap. Two spans of the same behaviour must have different starts.

    Args:
        ranges: by behaviour, in the order of `BEHAVIORS`, the (start, end) of its placed spans.

    Returns:
        Set after set its `n * n` distances, A before B in row-major order; `NO_DISTANCE` if no B follows an A.
    """
    found: tuple[int, ...] = ()
    for part in SET_SLICES:
        own = ranges[part]
        placed = sorted([(start, end, behavior) for behavior, spans in enumerate(own) for start, end in spans])
        fast = fast_span_distances(placed) if part.start == 0 else None
        found += fast or _distances_of_ties(placed, len(own))
    return found


def fast_span_distances(placed: Sequence[PlacedSpan]) -> tuple[int, ...] | None:
    """Return the distances of sorted spans of the four habits; None if some start together, are far or no ranges.

    This is done for every judged rollout, so it is written out for four behaviours: one name a pair, in numbers that
    are small to Python.
    """
    aa = ab = ac = ad = ba = bb = bc = bd = ca = cb = cc = cd = da = db = dc = dd = _NEAR
    a = b = c = d = -_NEAR  # the farthest end so far, by behaviour: the end of the nearest one for any later span
    before = -1
    for start, end, behavior in placed:
        if not before < start < end:
            return None
        before = start
        if behavior == 0:
            aa = start - a if start - a < aa else aa
            ba = start - b if start - b < ba else ba
            ca = start - c if start - c < ca else ca
            da = start - d if start - d < da else da
            a = end if end > a else a
        elif behavior == 1:
            ab = start - a if start - a < ab else ab
            bb = start - b if start - b < bb else bb
            cb = start - c if start - c < cb else cb
            db = start - d if start - d < db else db
            b = end if end > b else b
        elif behavior == 2:
            ac = start - a if start - a < ac else ac
            bc = start - b if start - b < bc else bc
            cc = start - c if start - c < cc else cc
            dc = start - d if start - d < dc else dc
            c = end if end > c else c
        else:
            ad = start - a if start - a < ad else ad
            bd = start - b if start - b < bd else bd
            cd = start - c if start - c < cd else cd
            dd = start - d if start - d < dd else dd
            d = end if end > d else d
    if a >= _NEAR or b >= _NEAR or c >= _NEAR or d >= _NEAR:
        return None
    least = (aa, ab, ac, ad, ba, bb, bc, bd, ca, cb, cc, cd, da, db, dc, dd)
    return _bounded(least, _NEAR)


def _bounded(least: Sequence[int], infinite: int) -> tuple[int, ...]:
    return tuple([NO_DISTANCE if gap >= infinite else gap if gap > 0 else 0 for gap in least])


def _distances_of_ties(placed: Sequence[PlacedSpan], n: int) -> tuple[int, ...]:
    """Return the distances of sorted spans of `n` behaviours, some of which may start together."""
    least = [_FAR] * (n * n)
    ends = [-_FAR] * n
    index = 0
    while index < len(placed):
        following = index + 1
        while following < len(placed) and placed[following][0] == placed[index][0]:
            following += 1
        _follow_together(placed[index:following], ends, least)
        index = following
    return _bounded(least, _FAR)


def _follow_together(group: Sequence[PlacedSpan], ends: list[int], least: list[int]) -> None:
    """Let spans that start at the same place follow each other, in both directions, but not their own kind."""
    earlier = ends.copy()
    for _, end, behavior in group:
        ends[behavior] = max(ends[behavior], end)
    for start, _, behavior in group:
        for first in range(len(ends)):
            until = earlier[first] if first == behavior else ends[first]
            place = first * len(ends) + behavior
            least[place] = min(least[place], start - until)
