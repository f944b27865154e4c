"""Parsed rollouts into rows."""

from __future__ import annotations

import sqlite3
from typing import Any

from cogtui.store.db.registry import IdRegistry
from cogtui.store.db.statements import (
    INSERT_RECORD,
    INSERT_ROLLOUT,
    UNJUDGED,
    RolloutJudgement,
    SpanDistances,
    shown_columns,
)
from cogtui.store.ingest.catalog import PendingFile
from cogtui.store.ingest.judgement_rows import JudgementWriter
from cogtui.store.ingest.parse import ParsedChunk, RolloutFields
from cogtui.store.stage_files.scan import problem_number
from pipelines.records import JudgeRun

JudgementsByRollout = dict[str, list[tuple[str, RolloutJudgement]]]
"""By rollout what judge runs say of it, in the order it was read."""
NumberedRollouts = list[tuple[int, RolloutFields]]


class RolloutWriter:
    """Writes rollouts; inside the write transaction of its caller."""

    def __init__(self, connection: sqlite3.Connection, registry: IdRegistry, verdicts: JudgementWriter) -> None:
        self._db = connection
        self._registry = registry
        self._verdicts = verdicts
        self._problems: set[str] = set()

    def write(self, one: PendingFile, first: int, parsed: ParsedChunk, spoken: JudgementsByRollout) -> None:
        """Writes the rollouts of some lines; of those the index has already, nothing changes.

        Args:
            first: serial of the first of them; the others follow.
            spoken: judgements read along with them; those written here are taken out.
        """
        rollouts = parsed.rollouts
        if not rollouts:
            return
        numbered = list(enumerate(rollouts, first))
        before = self._db.total_changes
        self._db.executemany(INSERT_RECORD, [(serial, row[0], row[1], one.id, row[2]) for serial, row in numbered])
        if self._db.total_changes - before != len(rollouts):
            fresh = {row[0] for row in self._db.execute("SELECT serial FROM record WHERE serial >= ?", (first,))}
            numbered = [pair for pair in numbered if pair[0] in fresh]
        self._insert(one.stage, numbered, [self._said(row, spoken) for _, row in numbered])
        self._mark_noted(first)

    def _said(self, row: RolloutFields, spoken: JudgementsByRollout) -> list[tuple[int, RolloutJudgement]]:
        """What is said of a rollout, by number of the judge run."""
        said: list[tuple[int, RolloutJudgement]] = []
        found = spoken.get(row[0])
        if found is not None and (len(found) == 1 or len({run for run, _ in found}) == len(found)):
            del spoken[row[0]]  # else its lines were read in two pieces, and are put together afterwards
            said = [(self._registry.judge_run(run), verdict) for run, verdict in found]
        if row[7] is not None:
            teacher, verdict = row[7]
            run = self._registry.describe(JudgeRun(id=f"teacher-{teacher}", judge="teacher", model=teacher))
            said.append((run, verdict))
        return said

    def _insert(self, stage: int, numbered: NumberedRollouts, said: list[list[tuple[int, RolloutJudgement]]]) -> None:
        rows: list[tuple[Any, ...]] = []
        verdicts: list[tuple[int, int, RolloutJudgement]] = []
        distances: list[tuple[int, SpanDistances]] = []
        series, labels = 0, None
        for (serial, (_, _, _, split, condition, seed, columns, _)), found in zip(numbered, said, strict=True):
            if labels != (split, condition, seed):  # the same for long stretches
                labels = (split, condition, seed)
                series = self._registry.series(stage, *labels)
            shown = UNJUDGED
            if found:
                run, verdict = self._verdicts.shown(found)
                shown = shown_columns(run, verdict)
                verdicts += [(serial, one, what) for one, what in found]
                distances.append((serial, verdict[4]))
            rows.append((serial, series, *columns, *shown))
        self._db.executemany(INSERT_ROLLOUT, rows)
        self._verdicts.write_new(verdicts, distances)
        problems = {row[6][-1] for _, row in numbered} - self._problems
        self._db.executemany(
            "INSERT OR IGNORE INTO problem VALUES (?, ?)", [(name, problem_number(name)) for name in problems]
        )
        self._problems |= problems
        self._db.executemany("INSERT OR IGNORE INTO stale_summary VALUES (?, ?)", {row[1:3] for row in rows})

    def _mark_noted(self, first: int) -> None:
        noted = self._db.execute(
            "SELECT r.serial FROM note n CROSS JOIN record r ON r.uid = n.rollout WHERE r.serial >= ?", (first,)
        ).fetchall()
        self._db.executemany("UPDATE rollout SET has_note = 1 WHERE serial = ?", noted)
