"""Two sources of pieces read at the same pace, and put together in batches."""

from collections.abc import Iterator, Sequence

from cogtui.store.ingest.catalog import PendingFile
from cogtui.store.ingest.parse import ParsedChunk
from cogtui.store.values.encodings import TEXT_FAMILIES

NumberedChunk = tuple[PendingFile, int | None, ParsedChunk]
"""What was read of a file; the serial of its first rollout where the words are written already."""


def interleave(
    ahead: Iterator[NumberedChunk], behind: Iterator[NumberedChunk], totals: Sequence[int]
) -> Iterator[NumberedChunk]:
    """The pieces of both: one of the first, then of the second until as large a share of it was read.

    Args:
        totals: bytes that are in each.
    """
    sources = (ahead, behind)
    done, left = [0, 0], [True, True]
    while any(left):
        first = left[0] and (not left[1] or done[0] * max(1, totals[1]) <= done[1] * max(1, totals[0]))
        which = 0 if first else 1
        piece = next(sources[which], None)
        if piece is None:
            left[which] = False
            continue
        done[which] += piece[2].end - piece[2].start
        yield piece


def batch_chunks(pieces: Iterator[NumberedChunk], first: int, most: int) -> Iterator[list[NumberedChunk]]:
    """Pieces to be written in one transaction.

    A batch ends before a piece of rollouts, where judgements have caught up with those before: the row of a rollout
    whose judgements come a batch later is written twice. The first batch does not wait for that, for somebody does.

    Args:
        first: bytes in the first batch; the following double until they have `most`.
    """
    batch: list[NumberedChunk] = []
    size, limit, shown = 0, first, False
    for piece in pieces:
        even = piece[0].source.family in TEXT_FAMILIES or size >= limit + limit // 4
        if shown and size >= limit and even:
            yield batch
            batch, size, limit = [], 0, min(limit * 2, most)
        batch.append(piece)
        size += piece[2].end - piece[2].start
        if not shown and size >= limit:
            yield batch
            batch, size, limit, shown = [], 0, min(limit * 2, most), True
    if batch:
        yield batch
