"""Averages per series and step, stored with the rows so that curves need no scan."""

import sqlite3
from typing import Final

from cogtui.store.db.connection import transaction
from cogtui.store.db.lease import Lease
from pipelines.behaviors.sets.registered import BEHAVIORS

_STEPS_AT_ONCE: Final = 500

MEAN_REWARD: Final = "round(avg(round(o.reward * 1073741824.0)) / 1073741824.0, 9)"
"""Mean reward to nine digits. Rewards are rounded to multiples of 2**-30, whose sum does not depend on row order."""

AVERAGES: Final = f"""count(*), count(o.reward), {MEAN_REWARD},
    avg(CASE WHEN o.reward IS NOT NULL THEN o.correct END), avg(o.length), avg(o.n_tokens),
    {", ".join(f"count(o.{behavior})" for behavior in BEHAVIORS)},
    {", ".join(f"avg(o.{behavior})" for behavior in BEHAVIORS)}"""


def refresh_summaries(connection: sqlite3.Connection, lease: Lease) -> int:
    """Recompute the stale summaries; return how many there were."""
    total = 0
    while True:
        with transaction(connection):
            lease.check()
            stale = connection.execute("SELECT series, step FROM stale_summary LIMIT ?", (_STEPS_AT_ONCE,)).fetchall()
            for pair in stale:
                connection.execute("DELETE FROM step_summary WHERE series = ? AND step = ?", pair)
                connection.execute(
                    f"""INSERT INTO step_summary SELECT o.series, o.step, {AVERAGES} FROM rollout o
                    INDEXED BY rollout_by_series WHERE o.series = ? AND o.step = ? GROUP BY o.series, o.step""",
                    pair,
                )
            connection.executemany("DELETE FROM stale_summary WHERE series = ? AND step = ?", stale)
        total += len(stale)
        if len(stale) < _STEPS_AT_ONCE:
            return total
