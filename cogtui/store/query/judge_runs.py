"""Totals per judge run, and the rollouts that several judge runs have in common."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from itertools import product
from typing import Final

from cogtui.store.user_data.annotations import HUMAN
from cogtui.store.values.encodings import STATUS_LETTERS
from pipelines.behaviors.sets.registered import BEHAVIOR_SETS
from pipelines.records import JudgeRun

_OK: Final = STATUS_LETTERS["ok"]

_WHOLE: Final = ", ".join(
    f"'{''.join(letters)}'"
    for letters in product(*(("-" * len(one.names), _OK * len(one.names)) for one in BEHAVIOR_SETS))
    if _OK in "".join(letters)
)
"""The statuses of judgements that are whole, as SQL: each set is judged in full or not at all."""


@dataclass(frozen=True, slots=True)
class JudgeRunSummary:
    """Totals of a judge run."""

    run: JudgeRun
    rollouts: int
    """Judged rollouts."""
    whole: int
    """Rollouts with all behaviours of the judged sets `ok`."""
    failed: int
    """Rollouts with none of them `ok`."""
    unaligned: int
    """Spans whose quote was not found."""
    done: int | None
    """For a person: rollouts marked as done; None otherwise."""


def run_summaries(db: sqlite3.Connection) -> list[JudgeRunSummary]:
    """Return all judge runs of an index, the largest first. Scans all judgements."""
    rows = {
        row[0]: row[1:]
        for row in db.execute(
            f"""SELECT run, count(*), sum(statuses IN ({_WHOLE})), sum(statuses NOT LIKE '%{_OK}%'), sum(unaligned)
            FROM rollout_judgement GROUP BY run"""
        )
    }
    done = dict(db.execute("SELECT run, sum(done) FROM annotation GROUP BY run"))
    found = []
    for number, record in db.execute("SELECT id, record FROM judge_run ORDER BY rank, run"):
        run = JudgeRun.model_validate_json(record)
        counts = rows.get(number)
        if counts is not None:
            rollouts, ok, failed, unaligned = counts
            finished = int(done.get(number) or 0) if run.judge == HUMAN else None
            found.append(JudgeRunSummary(run, rollouts, ok, failed, unaligned, finished))
    return sorted(found, key=lambda one: -one.rollouts)


def judged_in_common(db: sqlite3.Connection, runs: list[str], limit: int) -> tuple[int, list[str]]:
    """Return how many rollouts all of these runs judged, and the ids of a sample of them.

    Args:
        db: the index.
        runs: ids of one or two judge runs.
        limit: size of the sample, which is fixed and spread over all of them.
    """
    numbers = [_number(db, run) for run in runs]
    if any(number is None for number in numbers):
        return 0, []
    joins = "".join(
        f" JOIN rollout_judgement v{place} ON v{place}.serial = v0.serial AND v{place}.run = {number}"
        for place, number in enumerate(numbers[1:], start=1)
    )
    common = f"FROM rollout_judgement v0{joins} WHERE v0.run = {numbers[0]}"
    (total,) = db.execute(f"SELECT count(*) {common}").fetchone()
    rows = db.execute(
        f"""SELECT r.uid FROM (SELECT v0.serial {common} ORDER BY (v0.serial * 2654435761) % 4294967296 LIMIT ?) s
        JOIN record r ON r.serial = s.serial ORDER BY r.uid""",
        (limit,),
    )
    return int(total), [row[0] for row in rows]


def run_fingerprint(db: sqlite3.Connection, run: str) -> tuple[object, ...]:
    """Return a value that changes whenever a judge run has new judgements."""
    number = _number(db, run)
    if number is None:
        return ()
    person = db.execute("SELECT count(*), max(stamp), sum(done) FROM annotation WHERE run = ?", (number,)).fetchone()
    if person[0]:
        return tuple(person)
    return tuple(db.execute("SELECT count(*) FROM rollout_judgement WHERE run = ?", (number,)).fetchone())


def _number(db: sqlite3.Connection, run: str) -> int | None:
    row = db.execute("SELECT id FROM judge_run WHERE run = ?", (run,)).fetchone()
    return None if row is None else int(row[0])
