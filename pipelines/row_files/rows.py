"""A row as it is read, and the sizes beyond which a file is refused instead of filling the memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from pipelines.errors import InvalidInput

Container = Literal["lines", "list", "document", "parquet", "arrow", "zip"]

MAX_ROW_BYTES: Final = 256 << 20
"""A longer line, or a row that is larger when decoded, is one unreadable row."""
MAX_DOCUMENT_BYTES: Final = 1 << 30
"""A JSON list or object is decoded as a whole; a larger file must come as JSON lines."""
FREE_EXPANSION_BYTES: Final = 64 << 20
"""Compressed data may always expand to this size."""
MAX_EXPANSION: Final = 500
"""Beyond the free size, compressed data may expand by this factor; gzip and zstd reach 20 on rollouts."""


class RawRow(NamedTuple):
    """A row of a file."""

    place: str
    """`line 17`, `row 17`, `samples/17_epoch_1.json`."""
    value: Any
    """The decoded JSON; None if it cannot be read."""
    problem: str = ""
    """Why it cannot be read."""


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file that was found and is not read."""

    path: Path
    reason: str


def max_expanded(compressed: int) -> int:
    """Return the size in bytes to which compressed data of a size may expand."""
    return max(FREE_EXPANSION_BYTES, MAX_EXPANSION * compressed)


def expands_too_far(name: str, compressed: int) -> InvalidInput:
    """Return the error for data that expands beyond `max_expanded`."""
    return InvalidInput(
        f"{name} expands to more than {max_expanded(compressed) >> 20:,} MiB from {compressed:,} bytes",
        detail=f"A file of rollouts does not shrink to less than a {MAX_EXPANSION}th of its size.",
        remedy="If the file is what it should be, decompress it and import the result.",
    )
