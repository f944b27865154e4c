"""Complete lines of a file, many at once.

The same lines as `pipelines.streams.complete_lines` gives one by one; at a million lines the objects it makes for
each of them are a tenth of the time of an ingest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1 << 18
"""Small enough that lines are still in the processor's cache when they are parsed."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive complete lines of a file."""

    data: bytes
    """All of them, with the newlines between them."""
    lines: list[bytes]
    """Without their newlines; empty ones are left out."""
    starts: list[int]
    """Where each begins, in bytes."""
    end: int
    """Where the next block begins."""


def read_blocks(path: Path, offset: int, limit: int) -> Iterator[LineBlock]:
    """Blocks from a byte on until they make up `limit` bytes or nothing complete is left.

    Raises:
        OSError: the file cannot be read.
    """
    end = offset
    while end - offset < limit:
        block = read_block(path, end, min(limit, BLOCK_BYTES))
        if block.end == end:
            return
        end = block.end
        yield block


def read_block(path: Path, offset: int, limit: int) -> LineBlock:
    """The complete lines of a file from a byte on, about `limit` bytes of them, but at least one if there is one.

    A torn tail (no newline yet) is left for later: a block without lines means that nothing complete is there.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb", buffering=0) as stream:
        stream.seek(offset)
        data = stream.read(limit)
        cut = data.rfind(b"\n") + 1
        pieces = [data]
        while not cut and (data := stream.read(limit)):  # one line longer than the limit
            pieces.append(data)
            newline = data.find(b"\n") + 1
            cut = newline and sum(map(len, pieces[:-1])) + newline
    if not cut:
        return LineBlock(b"", [], [], offset)
    data = b"".join(pieces)[: cut - 1]
    whole = data.split(b"\n")
    starts = list(accumulate([len(line) + 1 for line in whole], initial=offset))
    end = starts.pop()
    if not all(whole):
        kept = [(line, start) for line, start in zip(whole, starts, strict=True) if line]
        return LineBlock(data, [line for line, _ in kept], [start for _, start in kept], end)
    return LineBlock(data, whole, starts, end)
