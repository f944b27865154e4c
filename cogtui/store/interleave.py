"""Two sources of pieces read at the same pace."""

from collections.abc import Iterator, Sequence

from cogtui.store.catalog import Pending
from cogtui.store.parse import Parsed

Piece = tuple[Pending, int | None, Parsed]


def interleaved(ahead: Iterator[Piece], behind: Iterator[Piece], totals: Sequence[int], lag: int) -> Iterator[Piece]:
    """The pieces of both, so that at every moment about the same share of both was read.

    Args:
        totals: bytes that are in each.
        lag: bytes by which the second stays behind.
    """
    sources = (ahead, behind)
    done, left = [0, lag], [True, True]
    while any(left):
        first = left[0] and (not left[1] or done[0] * max(1, totals[1]) <= done[1] * max(1, totals[0]))
        which = 0 if first else 1
        piece = next(sources[which], None)
        if piece is None:
            left[which] = False
            continue
        done[which] += piece[2].end - piece[2].start
        yield piece
