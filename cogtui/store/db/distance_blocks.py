"""The least distances of a thousand rollouts at a time, so that a pattern that few have is looked for in few.

For each block of serials, `near` has the least of each column of `distance`, or less: rows that go leave it as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from cogtui.store.db.schema import BLOCK_BITS, DISTANCE_COLUMNS
from cogtui.store.values.span_distances import NO_DISTANCE

_LOWERED: Final = ", ".join(
    f"{name} = CASE WHEN excluded.{name} IS NULL OR {name} <= excluded.{name} THEN {name} ELSE excluded.{name} END"
    for name in DISTANCE_COLUMNS
)
_LOWER: Final = f"""INSERT INTO near (block, {", ".join(DISTANCE_COLUMNS)})
    VALUES (?, {", ".join([f"nullif(?, {NO_DISTANCE})"] * len(DISTANCE_COLUMNS))})
    ON CONFLICT (block) DO UPDATE SET {_LOWERED}"""

DISTANCE_TABLES: Final = (
    f"near n CROSS JOIN distance d ON d.serial >= n.block << {BLOCK_BITS} AND d.serial < (n.block + 1) << {BLOCK_BITS} "
    "CROSS JOIN rollout o ON o.serial = d.serial"
)
"""FROM of a query that starts from a pattern: conditions on a column hold for `n` and for `d`."""


def lower_block_minima(db: sqlite3.Connection, rows: Sequence[tuple[int, ...]]) -> None:
    """Takes note of rows of `distance` that were just written: serial, and its columns with `NO_DISTANCE` for NULL."""
    ordered = sorted(rows)
    least = []
    for block, members in groupby(ordered, key=lambda row: row[0] >> BLOCK_BITS):
        _, *columns = zip(*members, strict=True)
        least.append((block, *map(_least, columns)))
    db.executemany(_LOWER, least)


def _least(column: Sequence[int]) -> int:
    found = min(column)
    return found if found != NO_DISTANCE else min((gap for gap in column if gap != NO_DISTANCE), default=NO_DISTANCE)
