"""Reading the complete lines of a file in blocks.

The lines are those of `pipelines.streams.complete_lines`, which makes one object per line: a tenth of the time of an
ingest at a million lines.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1 << 18
"""Small enough for the lines to be in the processor's cache when they are decoded."""


@dataclass(frozen=True, slots=True)
class LineBlock:
    """Consecutive complete lines of a file."""

    data: bytes
    """The lines with the newlines between them."""
    lines: list[bytes]
    """The lines without newlines; empty ones are left out."""
    starts: list[int]
    """Byte offset of each line."""
    end: int
    """Byte offset of the next block."""


def read_blocks(path: Path, offset: int, limit: int) -> Iterator[LineBlock]:
    """Yield blocks from a byte offset on, until they add up to `limit` bytes or no complete line is left.

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
    """Read about `limit` bytes of complete lines from a byte offset on, at least one line if there is one.

    A last line without a newline is not read. A block without lines means that there is no complete line.

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
