"""Per-block minima of span distances, so that a query for a rare pattern skips most blocks of rollouts.

`span_distance_block` holds, for each block of serials, a lower bound of each column of `span_distance`. Deleting
rollouts leaves the bounds as they are.
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
_LOWER: Final = f"""INSERT INTO span_distance_block (block, {", ".join(DISTANCE_COLUMNS)})
    VALUES (?, {", ".join([f"nullif(?, {NO_DISTANCE})"] * len(DISTANCE_COLUMNS))})
    ON CONFLICT (block) DO UPDATE SET {_LOWERED}"""

DISTANCE_TABLES: Final = (
    f"span_distance_block n CROSS JOIN span_distance d ON d.serial >= n.block << {BLOCK_BITS} "
    f"AND d.serial < (n.block + 1) << {BLOCK_BITS} "
    "CROSS JOIN rollout o ON o.serial = d.serial"
)
"""FROM of a query that starts from a pattern: conditions on a column hold for `n` and for `d`."""


def lower_block_minima(db: sqlite3.Connection, rows: Sequence[tuple[int, ...]]) -> None:
    """Lower the block minima to rows just written to `span_distance`.

    Args:
        rows: serial, then the distance columns with `NO_DISTANCE` for NULL.
    """
    ordered = sorted(rows)
    least = []
    for block, members in groupby(ordered, key=lambda row: row[0] >> BLOCK_BITS):
        _, *columns = zip(*members, strict=True)
        least.append((block, *map(_least, columns)))
    db.executemany(_LOWER, least)


def _least(column: Sequence[int]) -> int:
    found = min(column)
    return found if found != NO_DISTANCE else min((gap for gap in column if gap != NO_DISTANCE), default=NO_DISTANCE)
