"""Judgement lines into verdicts: one row a rollout and judge run, and the row of the list shows one of them.

The lines of a verdict may come together, one by one, before their rollout (they wait as orphans), or twice (the
one that comes first in the order of places holds, whichever was read first).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cogtui.store.db.distance_blocks import lower_block_minima
from cogtui.store.db.registry import IdRegistry
from cogtui.store.db.schema import DISTANCE_COLUMNS
from cogtui.store.db.statements import (
    ADDRESS_BITS,
    ADDRESS_MASK,
    INSERT_DISTANCES,
    INSERT_JUDGEMENT,
    UNJUDGED,
    UPDATE_SHOWN,
    JudgementFields,
    LineAddresses,
    N,
    RolloutJudgement,
    SpanDistances,
    judgement_fields,
    judgement_row,
    merge_sets,
    rollout_judgement,
    shown_columns,
    teacher_fields,
)
from cogtui.store.ingest.judgements_by_rollout import JudgementGrouper, JudgementRecord
from cogtui.store.stage_files.decode import JudgementLine, read_judgement, read_trace
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.stage_files.scan import record_ordinal
from cogtui.store.user_data.annotations import human_fields, read_annotation
from cogtui.store.values.span_distances import NO_DISTANCE, SET_SLICES
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import NotFound

_ADDRESS_COLUMNS: Final = ", ".join(f"address_{behavior}" for behavior in BEHAVIORS)


_SEVERAL: Final = len(SET_SLICES) > 1
"""Whether several behaviour sets are installed, of which the row of a rollout can show one judge run each."""


class _RolloutRef(NamedTuple):
    """A rollout that is judged."""

    serial: int
    judge: int | None
    """The run whose counts its row shows so far."""
    series: int
    step: int


class JudgementWriter:
    """Writes verdicts; inside the write transaction of its caller."""

    def __init__(self, connection: sqlite3.Connection, registry: IdRegistry, files: RecordReader) -> None:
        self._db = connection
        self._registry = registry
        self._files = files
        self._ranks: dict[int, tuple[int, str]] = {}

    def apply(self, spoken: Sequence[JudgementRecord]) -> None:
        """Writes what judge runs say of rollouts. What is said of a rollout that is not there waits."""
        rollouts = self._rollouts({uid for uid, _, _ in spoken})
        known = self._known([place.serial for place in rollouts.values()])
        runs = {run: self._registry.judge_run(run) for run in {run for _, run, _ in spoken}}
        verdicts: dict[tuple[int, int], RolloutJudgement] = {}
        orphans: list[tuple[str, int, int]] = []
        for uid, run, verdict in spoken:
            place = rollouts.get(uid)
            if place is None:
                orphans += [(uid, at >> ADDRESS_BITS, at & ADDRESS_MASK) for at in verdict[3] if at is not None]
                continue
            whose = (place.serial, runs[run])
            if whose in known:
                verdict = self._recalled(self._first_of(known[whose], verdict[3]))
            verdicts[whose] = verdict
        self._db.executemany("INSERT OR IGNORE INTO orphan_judgement VALUES (?, ?, ?)", orphans)
        self.write(verdicts, {place.serial: place.judge for place in rollouts.values()})
        self._mark({(place.series, place.step) for place in rollouts.values()})

    def write_new(
        self, said: Sequence[tuple[int, int, RolloutJudgement]], distances: Sequence[tuple[int, SpanDistances]]
    ) -> None:
        """Write judgements of rollouts that have none yet.

        Args:
            said: serial, judge run and judgement.
            distances: by serial those of the judgement its row shows.
        """
        self._db.executemany(INSERT_JUDGEMENT, [judgement_row(serial, run, verdict) for serial, run, verdict in said])
        self._insert_gaps(distances)

    def shown(self, said: Sequence[tuple[int, RolloutJudgement]]) -> tuple[int, RolloutJudgement]:
        """Return the judgement that the row of a rollout shows, and its judge run."""
        return said[0] if len(said) == 1 else merge_sets(sorted(said, key=lambda one: self._rank(one[0])))

    def write(self, verdicts: Mapping[tuple[int, int], RolloutJudgement], shown: Mapping[int, int | None]) -> None:
        """Writes verdicts by (serial, run), and into the row of the list where they are the ones to show.

        Args:
            verdicts: whole, as they shall stand.
            shown: by serial the run whose counts the row shows so far.
        """
        primary: dict[int, int] = {}
        for serial, run in verdicts:
            now = primary.get(serial, shown.get(serial))
            if now is None or now == run or self._rank(run) <= self._rank(now):
                primary[serial] = run
        self._db.executemany(INSERT_JUDGEMENT, [judgement_row(*whose, verdict) for whose, verdict in verdicts.items()])
        if _SEVERAL:
            self._show_merged(verdicts)
            return
        chosen = [(*whose, verdicts[whose]) for whose in primary.items()]
        self._db.executemany(UPDATE_SHOWN, [(*shown_columns(run, verdict), serial) for serial, run, verdict in chosen])
        self._write_gaps([(serial, verdict) for serial, _, verdict in chosen])

    def _show_merged(self, verdicts: Mapping[tuple[int, int], RolloutJudgement]) -> None:
        """Show in the rows of rollouts, for each behaviour set, its preferred judge run; judgements are written."""
        serials = json.dumps(sorted({serial for serial, _ in verdicts}))
        before = {
            serial: tuple(NO_DISTANCE if value is None else value for value in values)
            for serial, *values in self._db.execute(
                f"""SELECT serial, {", ".join(DISTANCE_COLUMNS)} FROM span_distance
                WHERE serial IN (SELECT value FROM json_each(?))""",
                (serials,),
            )
        }
        by_serial: dict[int, list[tuple[int, RolloutJudgement]]] = {}
        for serial, run, statuses, unaligned, *rest in self._db.execute(
            f"""SELECT serial, run, statuses, unaligned, {", ".join(BEHAVIORS)}, {_ADDRESS_COLUMNS}
            FROM rollout_judgement WHERE serial IN (SELECT value FROM json_each(?))""",
            (serials,),
        ).fetchall():
            # A run that was shown and is not written now keeps its distances: they are in the row shown so far.
            distances = verdicts[serial, run][4] if (serial, run) in verdicts else before.get(serial)
            judgement = (statuses, tuple(rest[:N]), unaligned, tuple(rest[N:]), distances)
            by_serial.setdefault(serial, []).append((run, judgement))
        chosen = [
            (serial, *merge_sets(sorted(found, key=lambda one: self._rank(one[0]))))
            for serial, found in by_serial.items()
        ]
        self._db.executemany(UPDATE_SHOWN, [(*shown_columns(run, verdict), serial) for serial, run, verdict in chosen])
        self._write_gaps([(serial, verdict) for serial, _, verdict in chosen])

    def hold(self, serial: int, run: int, verdict: RolloutJudgement | None) -> None:
        """Puts a verdict in the place of the one there was, of a judge that may change its mind: a person.

        Args:
            serial: of the rollout.
            run: number of the judge run.
            verdict: None where nothing is said any more.
        """
        row = self._db.execute("SELECT judge FROM rollout WHERE serial = ?", (serial,)).fetchone()
        if verdict is not None and _SEVERAL:
            self._db.execute(INSERT_JUDGEMENT, judgement_row(serial, run, verdict))
            self._choose_again(serial)
        elif verdict is not None:
            self.write({(serial, run): verdict}, {serial: row[0] if row else None})
            self._mark(self._db.execute("SELECT series, step FROM rollout WHERE serial = ?", (serial,)).fetchall())
        elif self._db.execute("DELETE FROM rollout_judgement WHERE serial = ? AND run = ?", (serial, run)).rowcount:
            self._choose_again(serial)

    def adopt_orphans(self) -> int:
        """Applies judgements whose rollout has come meanwhile; returns how many lines."""
        rows = self._db.execute(
            """SELECT o.uid, o.file, o.byte FROM orphan_judgement o JOIN record r ON r.uid = o.uid
            ORDER BY o.file, o.byte LIMIT 20000"""
        ).fetchall()
        grouped = JudgementGrouper()
        for _, source, byte in rows:
            at = source << ADDRESS_BITS | byte
            read = self._read(at)
            if read is not None:
                grouped.add(read[0], at)
        self._db.executemany("DELETE FROM orphan_judgement WHERE uid = ? AND file = ? AND byte = ?", rows)
        self.apply(list(grouped.finished()))
        return len(rows)

    def forget_source(self, source: int) -> None:
        """Takes out what the lines of a judgement file said."""
        low, high = source << ADDRESS_BITS, (source + 1) << ADDRESS_BITS
        touched = " OR ".join(f"address_{behavior} >= {low} AND address_{behavior} < {high}" for behavior in BEHAVIORS)
        for serial, run, *places in self._db.execute(
            f"SELECT serial, run, {_ADDRESS_COLUMNS} FROM rollout_judgement WHERE {touched}"
        ).fetchall():
            kept = tuple(None if at is not None and low <= at < high else at for at in places)
            if any(at is not None for at in kept):
                self._db.execute(INSERT_JUDGEMENT, judgement_row(serial, run, self._recalled(kept)))
            else:
                self._db.execute("DELETE FROM rollout_judgement WHERE serial = ? AND run = ?", (serial, run))
            self._choose_again(serial)

    def orphan_all(self, source: int) -> None:
        """Before the rollouts of a file are deleted: their judgements wait for them to come back."""
        for behavior in BEHAVIORS:
            self._db.execute(
                f"""INSERT OR IGNORE INTO orphan_judgement
                SELECT r.uid, v.address_{behavior} >> {ADDRESS_BITS}, v.address_{behavior} & {ADDRESS_MASK}
                FROM record r JOIN rollout_judgement v ON v.serial = r.serial
                WHERE r.file = ? AND v.address_{behavior} IS NOT NULL
                AND v.address_{behavior} >> {ADDRESS_BITS} != r.file""",
                (source,),
            )

    def _mark(self, steps: Iterable[tuple[int, int]]) -> None:
        """The averages of these (series, step) have to be worked out again."""
        self._db.executemany("INSERT OR IGNORE INTO stale_summary VALUES (?, ?)", steps)

    def _choose_again(self, serial: int) -> None:
        rows = self._db.execute(
            f"SELECT run, {_ADDRESS_COLUMNS} FROM rollout_judgement WHERE serial = ?", (serial,)
        ).fetchall()
        self._db.execute("DELETE FROM span_distance WHERE serial = ?", (serial,))
        if rows:
            ranked = sorted(rows, key=lambda row: self._rank(row[0]))
            recalled = [(run, self._recalled(tuple(places))) for run, *places in ranked[: None if _SEVERAL else 1]]
            run, verdict = merge_sets(recalled)
            self._db.execute(UPDATE_SHOWN, (*shown_columns(run, verdict), serial))
            self._write_gaps([(serial, verdict)])
        else:
            self._db.execute(UPDATE_SHOWN, (*UNJUDGED, serial))
        self._mark(self._db.execute("SELECT series, step FROM rollout WHERE serial = ?", (serial,)).fetchall())

    def _write_gaps(self, verdicts: Sequence[tuple[int, RolloutJudgement]]) -> None:
        self._db.executemany(
            "DELETE FROM span_distance WHERE serial = ?",
            [(serial,) for serial, verdict in verdicts if verdict[4] is None],
        )
        self._insert_gaps([(serial, verdict[4]) for serial, verdict in verdicts])

    def _insert_gaps(self, gaps: Sequence[tuple[int, SpanDistances]]) -> None:
        rows = [(serial, *distances) for serial, distances in gaps if distances is not None]
        self._db.executemany(INSERT_DISTANCES, rows)
        lower_block_minima(self._db, rows)

    def _rollouts(self, uids: Iterable[str]) -> dict[str, _RolloutRef]:
        rows = self._db.execute(
            """SELECT r.uid, r.serial, o.judge, o.series, o.step FROM json_each(?) j
            CROSS JOIN record r ON r.uid = j.value CROSS JOIN rollout o ON o.serial = r.serial""",
            (json.dumps(list(uids)),),
        )
        return {uid: _RolloutRef(*place) for uid, *place in rows}

    def _known(self, serials: Sequence[int]) -> dict[tuple[int, int], LineAddresses]:
        """The lines of the verdicts that some rollouts have, by (serial, run)."""
        rows = self._db.execute(
            f"""SELECT v.serial, v.run, {_ADDRESS_COLUMNS} FROM json_each(?) j
            CROSS JOIN rollout_judgement v ON v.serial = j.value""",
            (json.dumps(serials),),
        )
        return {(serial, run): tuple(places) for serial, run, *places in rows}

    def _recalled(self, places: LineAddresses) -> RolloutJudgement:
        """A verdict as the lines it was made of say it. A line that is gone meanwhile says nothing."""
        said: list[JudgementFields | None] = [None] * N
        for number, at in enumerate(places):
            if at is None:
                continue
            _, family = self._files.source(at >> ADDRESS_BITS)
            if family == "traces":  # all behaviours are on one line
                trace = read_trace(self._files.line(at >> ADDRESS_BITS, at & ADDRESS_MASK))
                return rollout_judgement(teacher_fields(trace.spans, at))
            if family == "annotations":
                return rollout_judgement(
                    human_fields(read_annotation(self._files.line(at >> ADDRESS_BITS, at & ADDRESS_MASK)), at)
                )
            read = self._read(at)
            said[number] = None if read is None else read[1]
        return rollout_judgement(said)

    def _read(self, at: int) -> tuple[JudgementLine, JudgementFields] | None:
        try:
            line = read_judgement(self._files.line(at >> ADDRESS_BITS, at & ADDRESS_MASK))
            return line, judgement_fields(line, at)
        except (ValueError, NotFound):
            return None  # it was read once; the file has changed since, and the next look at the disk finds that

    def _first_of(self, known: LineAddresses, new: LineAddresses) -> LineAddresses:
        """Of two lines for one behaviour the one that comes first in the order of places."""
        return tuple(
            a if b is None or (a is not None and self._place(a) <= self._place(b)) else b
            for a, b in zip(known, new, strict=True)
        )

    def _place(self, at: int) -> int:
        base = self._db.execute("SELECT first_ordinal FROM stream_file WHERE id = ?", (at >> ADDRESS_BITS,)).fetchone()[
            0
        ]
        return record_ordinal(base, at & ADDRESS_MASK)

    def _rank(self, run: int) -> tuple[int, str]:
        if run not in self._ranks:
            self._ranks[run] = self._db.execute("SELECT rank, run FROM judge_run WHERE id = ?", (run,)).fetchone()
        return self._ranks[run]
