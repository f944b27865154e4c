"""Writing judgements: one row per rollout and judge run, one of which the row of the rollout shows.

The lines of a rollout may come together, one by one, before their rollout (they are kept as orphans), or twice (the
line with the lower ordinal counts, whichever was read first).
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
    line_address,
    merge_sets,
    rollout_judgement,
    shown_columns,
    split_address,
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
_SEVERAL_SETS: Final = len(SET_SLICES) > 1
"""Whether several behaviour sets are installed, for each of which a row can show another judge run."""


JudgementOfSerial = tuple[int, int, RolloutJudgement]
"""Serial of the rollout, judge run, judgement."""


class _JudgedRollout(NamedTuple):
    """A rollout that a judgement refers to."""

    serial: int
    shown_run: int | None
    """The judge run that its row shows so far."""
    series: int
    step: int


class JudgementWriter:
    """Writes judgements, inside the write transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection, registry: IdRegistry, files: RecordReader) -> None:
        self._db = connection
        self._registry = registry
        self._files = files
        self._ranks: dict[int, tuple[int, str]] = {}

    def apply(self, records: Sequence[JudgementRecord]) -> None:
        """Write judgements of rollouts; keep those whose rollout is not indexed yet as orphans."""
        rollouts = self._rollouts({record.rollout for record in records})
        known = self._known_addresses([rollout.serial for rollout in rollouts.values()])
        runs = {run: self._registry.judge_run(run) for run in {record.run for record in records}}
        judgements: dict[tuple[int, int], RolloutJudgement] = {}
        orphans: list[tuple[str, int, int]] = []
        for record in records:
            rollout, judgement = rollouts.get(record.rollout), record.judgement
            if rollout is None:
                orphans += [(record.rollout, *split_address(at)) for at in judgement.addresses if at is not None]
                continue
            key = (rollout.serial, runs[record.run])
            if key in known:
                judgement = self._reread(self._earlier_lines(known[key], judgement.addresses))
            judgements[key] = judgement
        self._db.executemany("INSERT OR IGNORE INTO orphan_judgement VALUES (?, ?, ?)", orphans)
        self.write(judgements, {rollout.serial: rollout.shown_run for rollout in rollouts.values()})
        self._mark_stale({(rollout.series, rollout.step) for rollout in rollouts.values()})

    def insert_new(self, rows: Sequence[JudgementOfSerial], distances: Sequence[tuple[int, SpanDistances]]) -> None:
        """Insert judgements of rollouts that have none yet.

        Args:
            rows: the judgements.
            distances: by serial those of the judgement that the row of the rollout shows.
        """
        self._db.executemany(INSERT_JUDGEMENT, [judgement_row(*row) for row in rows])
        self._insert_distances(distances)

    def choose_shown(self, judgements: Sequence[tuple[int, RolloutJudgement]]) -> tuple[int, RolloutJudgement]:
        """Return the judge run and judgement that the row of a rollout shows."""
        return judgements[0] if len(judgements) == 1 else merge_sets(self._by_rank(judgements))

    def write(
        self, judgements: Mapping[tuple[int, int], RolloutJudgement], shown_runs: Mapping[int, int | None]
    ) -> None:
        """Write judgements, and show them in the rows of their rollouts where they rank first.

        Args:
            judgements: by serial and judge run; they replace existing ones.
            shown_runs: by serial the judge run that the row shows so far.
        """
        chosen_runs: dict[int, int] = {}
        for serial, run in judgements:
            now = chosen_runs.get(serial, shown_runs.get(serial))
            if now is None or now == run or self._rank(run) <= self._rank(now):
                chosen_runs[serial] = run
        self._db.executemany(
            INSERT_JUDGEMENT, [judgement_row(serial, run, one) for (serial, run), one in judgements.items()]
        )
        if _SEVERAL_SETS:
            self._show_merged(judgements)
            return
        chosen = [(serial, run, judgements[serial, run]) for serial, run in chosen_runs.items()]
        self._db.executemany(UPDATE_SHOWN, [(*shown_columns(run, one), serial) for serial, run, one in chosen])
        self._write_distances([(serial, one.distances) for serial, _, one in chosen])

    def _show_merged(self, written: Mapping[tuple[int, int], RolloutJudgement]) -> None:
        """Show, in the rows of the rollouts of judgements just written, the preferred judge run of each set."""
        serials = json.dumps(sorted({serial for serial, _ in written}))
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
            # A run that was shown before and is not written now keeps its distances: the row of the rollout has them.
            distances = written[serial, run].distances if (serial, run) in written else before.get(serial)
            judgement = RolloutJudgement(statuses, tuple(rest[:N]), unaligned, tuple(rest[N:]), distances)
            by_serial.setdefault(serial, []).append((run, judgement))
        chosen = [(serial, *merge_sets(self._by_rank(found))) for serial, found in by_serial.items()]
        self._db.executemany(UPDATE_SHOWN, [(*shown_columns(run, one), serial) for serial, run, one in chosen])
        self._write_distances([(serial, one.distances) for serial, _, one in chosen])

    def replace(self, serial: int, run: int, judgement: RolloutJudgement | None) -> None:
        """Replace the judgement of a judge that may change it: a person.

        Args:
            serial: of the rollout.
            run: id of the judge run.
            judgement: None removes it.
        """
        row = self._db.execute("SELECT judge FROM rollout WHERE serial = ?", (serial,)).fetchone()
        key = (serial, run)
        if judgement is not None and _SEVERAL_SETS:
            self._db.execute(INSERT_JUDGEMENT, judgement_row(serial, run, judgement))
            self._update_shown(serial)
        elif judgement is not None:
            self.write({key: judgement}, {serial: row[0] if row else None})
            self._mark_stale(
                self._db.execute("SELECT series, step FROM rollout WHERE serial = ?", (serial,)).fetchall()
            )
        elif self._db.execute("DELETE FROM rollout_judgement WHERE serial = ? AND run = ?", key).rowcount:
            self._update_shown(serial)

    def adopt_orphans(self) -> int:
        """Apply up to 20,000 orphans whose rollout is indexed by now; return how many."""
        rows = self._db.execute(
            """SELECT o.uid, o.file, o.byte FROM orphan_judgement o JOIN record r ON r.uid = o.uid
            ORDER BY o.file, o.byte LIMIT 20000"""
        ).fetchall()
        grouper = JudgementGrouper()
        for _, file, byte in rows:
            address = line_address(file, byte)
            read = self._read(address)
            if read is not None:
                grouper.add(read[0], address)
        self._db.executemany("DELETE FROM orphan_judgement WHERE uid = ? AND file = ? AND byte = ?", rows)
        self.apply(list(grouper.finished()))
        return len(rows)

    def remove_lines_of(self, file: int) -> None:
        """Remove what the lines of a judgement file contributed."""
        low, high = line_address(file, 0), line_address(file + 1, 0)
        touched = " OR ".join(f"address_{behavior} >= {low} AND address_{behavior} < {high}" for behavior in BEHAVIORS)
        for serial, run, *addresses in self._db.execute(
            f"SELECT serial, run, {_ADDRESS_COLUMNS} FROM rollout_judgement WHERE {touched}"
        ).fetchall():
            kept = tuple(None if at is not None and low <= at < high else at for at in addresses)
            if any(at is not None for at in kept):
                self._db.execute(INSERT_JUDGEMENT, judgement_row(serial, run, self._reread(kept)))
            else:
                self._db.execute("DELETE FROM rollout_judgement WHERE serial = ? AND run = ?", (serial, run))
            self._update_shown(serial)

    def orphan_judgements_of(self, file: int) -> None:
        """Before the rollouts of a file are deleted: keep their judgements as orphans, in case they come back."""
        for behavior in BEHAVIORS:
            self._db.execute(
                f"""INSERT OR IGNORE INTO orphan_judgement
                SELECT r.uid, v.address_{behavior} >> {ADDRESS_BITS}, v.address_{behavior} & {ADDRESS_MASK}
                FROM record r JOIN rollout_judgement v ON v.serial = r.serial
                WHERE r.file = ? AND v.address_{behavior} IS NOT NULL
                AND v.address_{behavior} >> {ADDRESS_BITS} != r.file""",
                (file,),
            )

    def _mark_stale(self, steps: Iterable[tuple[int, int]]) -> None:
        """Mark the summaries of these (series, step) for recomputation."""
        self._db.executemany("INSERT OR IGNORE INTO stale_summary VALUES (?, ?)", steps)

    def _update_shown(self, serial: int) -> None:
        """Choose again which judgement the row of a rollout shows."""
        rows = self._db.execute(
            f"SELECT run, {_ADDRESS_COLUMNS} FROM rollout_judgement WHERE serial = ?", (serial,)
        ).fetchall()
        self._db.execute("DELETE FROM span_distance WHERE serial = ?", (serial,))
        if rows:
            rows.sort(key=lambda row: self._rank(row[0]))
            considered = rows if _SEVERAL_SETS else rows[:1]
            run, judgement = merge_sets([(run, self._reread(tuple(addresses))) for run, *addresses in considered])
            self._db.execute(UPDATE_SHOWN, (*shown_columns(run, judgement), serial))
            self._write_distances([(serial, judgement.distances)])
        else:
            self._db.execute(UPDATE_SHOWN, (*UNJUDGED, serial))
        self._mark_stale(self._db.execute("SELECT series, step FROM rollout WHERE serial = ?", (serial,)).fetchall())

    def _write_distances(self, distances: Sequence[tuple[int, SpanDistances]]) -> None:
        self._db.executemany(
            "DELETE FROM span_distance WHERE serial = ?", [(serial,) for serial, found in distances if found is None]
        )
        self._insert_distances(distances)

    def _insert_distances(self, distances: Sequence[tuple[int, SpanDistances]]) -> None:
        rows = [(serial, *found) for serial, found in distances if found is not None]
        self._db.executemany(INSERT_DISTANCES, rows)
        lower_block_minima(self._db, rows)

    def _rollouts(self, uids: Iterable[str]) -> dict[str, _JudgedRollout]:
        rows = self._db.execute(
            """SELECT r.uid, r.serial, o.judge, o.series, o.step FROM json_each(?) j
            CROSS JOIN record r ON r.uid = j.value CROSS JOIN rollout o ON o.serial = r.serial""",
            (json.dumps(list(uids)),),
        )
        return {uid: _JudgedRollout(*columns) for uid, *columns in rows}

    def _known_addresses(self, serials: Sequence[int]) -> dict[tuple[int, int], LineAddresses]:
        """The lines of the judgements that some rollouts have, by serial and judge run."""
        rows = self._db.execute(
            f"""SELECT v.serial, v.run, {_ADDRESS_COLUMNS} FROM json_each(?) j
            CROSS JOIN rollout_judgement v ON v.serial = j.value""",
            (json.dumps(serials),),
        )
        return {(serial, run): tuple(addresses) for serial, run, *addresses in rows}

    def _reread(self, addresses: LineAddresses) -> RolloutJudgement:
        """Build a judgement from its lines again. A line that is gone meanwhile counts as missing."""
        fields: list[JudgementFields | None] = [None] * N
        for number, address in enumerate(addresses):
            if address is None:
                continue
            file, byte = split_address(address)
            _, family = self._files.file(file)
            if family == "traces":  # all behaviours are on one line
                trace = read_trace(self._files.line(file, byte))
                return rollout_judgement(teacher_fields(trace.spans, address))
            if family == "annotations":
                try:
                    one = read_annotation(self._files.line(file, byte))
                except ValueError:
                    return rollout_judgement(fields)  # indexed before such lines were refused
                return rollout_judgement(human_fields(one, address))
            read = self._read(address)
            fields[number] = None if read is None else read[1]
        return rollout_judgement(fields)

    def _read(self, address: int) -> tuple[JudgementLine, JudgementFields] | None:
        try:
            line = read_judgement(self._files.line(*split_address(address)))
            return line, judgement_fields(line, address)
        except (ValueError, NotFound):
            return None  # the file changed after it was read; the next scan finds that

    def _earlier_lines(self, known: LineAddresses, new: LineAddresses) -> LineAddresses:
        """By behaviour the one of two lines that has the lower ordinal."""
        return tuple(
            a if b is None or (a is not None and self._ordinal(a) <= self._ordinal(b)) else b
            for a, b in zip(known, new, strict=True)
        )

    def _ordinal(self, address: int) -> int:
        file, byte = split_address(address)
        (first,) = self._db.execute("SELECT first_ordinal FROM stream_file WHERE id = ?", (file,)).fetchone()
        return record_ordinal(first, byte)

    def _by_rank(self, judgements: Sequence[tuple[int, RolloutJudgement]]) -> list[tuple[int, RolloutJudgement]]:
        return sorted(judgements, key=lambda one: self._rank(one[0]))

    def _rank(self, run: int) -> tuple[int, str]:
        if run not in self._ranks:
            self._ranks[run] = self._db.execute("SELECT rank, run FROM judge_run WHERE id = ?", (run,)).fetchone()
        return self._ranks[run]
