"""Interleaving chunks of rollouts with chunks of their judgements, and grouping chunks into transactions."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cogtui.store.ingest.catalog import PendingFile
from cogtui.store.ingest.parse import ParsedChunk
from cogtui.store.values.encodings import TEXT_FAMILIES


class NumberedChunk(NamedTuple):
    """A parsed chunk on its way to the database."""

    file: PendingFile
    serial: int | None
    """Serial of its first rollout, if the full-text index has its texts already."""
    parsed: ParsedChunk

    @property
    def size(self) -> int:
        """Bytes of the file in this chunk."""
        return self.parsed.end - self.parsed.start

    @property
    def has_texts(self) -> bool:
        """Whether its records are rollouts."""
        return self.file.source.family in TEXT_FAMILIES


def interleave(
    rollouts: Iterator[NumberedChunk], others: Iterator[NumberedChunk], totals: Sequence[int]
) -> Iterator[NumberedChunk]:
    """Yield a chunk of rollouts, then others until the same share of their bytes is read, and so on.

    Args:
        rollouts: chunks of rollouts and traces.
        others: chunks of judgements and metrics.
        totals: bytes in each of the two.
    """
    sources = (rollouts, others)
    done, left = [0, 0], [True, True]
    while any(left):
        first = left[0] and (not left[1] or done[0] * max(1, totals[1]) <= done[1] * max(1, totals[0]))
        which = 0 if first else 1
        chunk = next(sources[which], None)
        if chunk is None:
            left[which] = False
            continue
        done[which] += chunk.size
        yield chunk


def batch_chunks(chunks: Iterator[NumberedChunk], first: int, most: int) -> Iterator[list[NumberedChunk]]:
    """Group chunks into transactions.

    A batch ends before a chunk of rollouts, when judgements have caught up with them: the row of a rollout whose
    judgements come a batch later is written twice. The first batch does not wait for that, so that rows show early.

    Args:
        chunks: in reading order.
        first: bytes in the first batch; the size doubles up to `most`.
        most: bytes in the later batches.
    """
    batch: list[NumberedChunk] = []
    size, limit, shown = 0, first, False
    for chunk in chunks:
        caught_up = chunk.has_texts or size >= limit + limit // 4
        if shown and size >= limit and caught_up:
            yield batch
            batch, size, limit = [], 0, min(limit * 2, most)
        batch.append(chunk)
        size += chunk.size
        if not shown and size >= limit:
            yield batch
            batch, size, limit, shown = [], 0, min(limit * 2, most), True
    if batch:
        yield batch
