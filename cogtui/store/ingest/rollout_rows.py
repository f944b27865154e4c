"""Writing parsed rollouts, with the judgements that were read along with them."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec.structs import astuple

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
from cogtui.store.ingest.judgement_rows import JudgementOfSerial, JudgementWriter
from cogtui.store.ingest.judgements_by_rollout import JudgementRecord
from cogtui.store.ingest.parse import ParsedChunk, RolloutFields
from cogtui.store.stage_files.scan import problem_number
from pipelines.records import JudgeRun

JudgementsByRollout = dict[str, list[JudgementRecord]]
"""By rollout id, in the order they were read."""
NumberedRollouts = list[tuple[int, RolloutFields]]
"""Serial and fields of rollouts."""


class RolloutWriter:
    """Writes rollouts, inside the write transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection, registry: IdRegistry, judgements: JudgementWriter) -> None:
        self._db = connection
        self._registry = registry
        self._judgements = judgements
        self._problems: set[str] = set()

    def write(self, file: PendingFile, first: int, parsed: ParsedChunk, judgements: JudgementsByRollout) -> None:
        """Write the rollouts of a chunk. Rollouts that the index already has do not change.

        Args:
            file: the file of the chunk.
            first: serial of the first rollout; the others follow.
            parsed: the chunk.
            judgements: read along with the rollouts; those written here are removed.
        """
        rollouts = parsed.rollouts
        if not rollouts:
            return
        numbered = list(enumerate(rollouts, first))
        before = self._db.total_changes
        self._db.executemany(
            INSERT_RECORD, [(serial, fields.id, fields.problem, file.id, fields.byte) for serial, fields in numbered]
        )
        if self._db.total_changes - before != len(rollouts):
            inserted = {row[0] for row in self._db.execute("SELECT serial FROM record WHERE serial >= ?", (first,))}
            numbered = [pair for pair in numbered if pair[0] in inserted]
        self._insert(file.stage, numbered, [self._judgements_of(fields, judgements) for _, fields in numbered])
        self._mark_noted(first)

    def _judgements_of(
        self, fields: RolloutFields, judgements: JudgementsByRollout
    ) -> list[tuple[int, RolloutJudgement]]:
        """The judgements of a rollout, by id of the judge run."""
        found: list[tuple[int, RolloutJudgement]] = []
        read = judgements.get(fields.id)
        if read is not None and (len(read) == 1 or len({record.run for record in read}) == len(read)):
            del judgements[fields.id]  # otherwise its lines came in two chunks, and `JudgementWriter.apply` merges them
            found = [(self._registry.judge_run(record.run), record.judgement) for record in read]
        if fields.teacher is not None:
            teacher, judgement = fields.teacher
            run = self._registry.describe(JudgeRun(id=f"teacher-{teacher}", judge="teacher", model=teacher))
            found.append((run, judgement))
        return found

    def _insert(
        self, stage: int, numbered: NumberedRollouts, judgements: list[list[tuple[int, RolloutJudgement]]]
    ) -> None:
        rows: list[tuple[Any, ...]] = []
        judgement_rows: list[JudgementOfSerial] = []
        distances: list[tuple[int, SpanDistances]] = []
        series, task, key = 0, 0, None
        for (serial, fields), found in zip(numbered, judgements, strict=True):
            own = (fields.split, fields.condition, fields.seed, fields.task)
            if key != own:  # the same for long stretches of a file
                key = own
                series = self._registry.series(stage, *own[:3])
                task = self._registry.task(fields.task)
            shown = UNJUDGED
            if found:
                run, judgement = self._judgements.choose_shown(found)
                shown = shown_columns(run, judgement)
                judgement_rows += [(serial, run, one) for run, one in found]
                distances.append((serial, judgement.distances))
            rows.append((serial, series, *astuple(fields.columns), *fields.computed, task, *shown))
        self._db.executemany(INSERT_ROLLOUT, rows)
        self._judgements.insert_new(judgement_rows, distances)
        problems = {fields.columns.problem_id for _, fields in numbered} - self._problems
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
