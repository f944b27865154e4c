"""Rows of the index as values, and complete rollouts read back from their files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import ValidationError

from cogtui.store.columns import COMPUTED_COLUMNS
from cogtui.store.db.statements import JUDGED_NAMES, split_address
from cogtui.store.query.select import Hit
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.stage_files.scan import judge_rank
from cogtui.store.user_data.annotations import HumanAnnotation
from cogtui.store.user_data.notes import notes_of
from cogtui.store.values.encodings import FINISH_NAMES
from cogtui.store.values.series import RolloutSeries
from cogtui.store.values.types import BehaviorJudgement, Cursor, RolloutDetail, RolloutRow
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput, NotFound
from pipelines.records import Behavior, Judgement, JudgeRun, Span, text_sha256
from pipelines.streams import parse_line, strip_envelope

_MEASURED: Final = (*BEHAVIORS, *(column.column for column in COMPUTED_COLUMNS))
_SELECT_ROWS: Final = f"""SELECT o.serial, r.uid, o.series, o.step, o.problem_id, o.sample, o.task, r.problem,
    o.reward, o.correct, o.finish, o.n_tokens, o.length, {"".join(f"o.{name}, " for name in _MEASURED)}
    o.judge, o.judged, o.unaligned, o.has_note
    FROM rollout o CROSS JOIN record r ON r.serial = o.serial
    WHERE o.serial IN (SELECT value FROM json_each(?))"""
_decode_json: Final = msgspec.json.Decoder(dict).decode
_COMPUTED_NAMES: Final = tuple(column.name for column in COMPUTED_COLUMNS)
_TRUTH_NAMES: Final = tuple(column.name for column in COMPUTED_COLUMNS if column.type == "truth")
Records = Mapping[tuple[int, int], dict[str, Any]]
"""Decoded lines by file id and byte offset."""

_ADDRESS_COLUMNS: Final = ", ".join(f"v.address_{behavior}" for behavior in BEHAVIORS)


def rows_of(db: sqlite3.Connection, series: Mapping[int, RolloutSeries], hits: Sequence[Hit]) -> tuple[RolloutRow, ...]:
    """Return the rows of hits, in their order. Rows deleted meanwhile are left out."""
    cursors = {hit.serial: hit.cursor for hit in hits}
    rows = db.execute(_SELECT_ROWS, (json.dumps(list(cursors)),)).fetchall()
    # After the rows, so that no name is missing. Both tables are small; a join would look into them for every row.
    names = _Names(dict(db.execute("SELECT id, name FROM task")), dict(db.execute("SELECT id, run FROM judge_run")))
    found = {row[0]: _row(row, series[row[2]], cursors[row[0]], names) for row in rows if row[2] in series}
    return tuple(found[hit.serial] for hit in hits if hit.serial in found)


class _Names(NamedTuple):
    tasks: dict[int, str]
    judge_runs: dict[int, str]


def _row(values: tuple[Any, ...], series: RolloutSeries, cursor: Cursor, names: _Names) -> RolloutRow:
    (serial, uid, _, step, problem_id, sample, task, problem, reward, correct, finish, n_tokens, length,
     *measured, judge, judged, unaligned, noted) = values  # fmt: skip
    return RolloutRow(
        id=uid,
        stage=series.stage,
        kind=series.kind,
        condition=series.condition,
        seed=series.seed,
        step=step,
        split=series.split,
        problem_id=problem_id,
        sample=sample,
        task=names.tasks[task],
        problem=decode_problem(problem_id, problem),
        reward=reward,
        correct=None if correct is None else bool(correct),
        finish_reason=FINISH_NAMES[finish],
        n_tokens=n_tokens,
        length=length,
        counts=tuple(measured[: len(BEHAVIORS)]),
        judge=None if judge is None else names.judge_runs[judge],
        judged=JUDGED_NAMES[judged],
        unaligned=unaligned,
        noted=bool(noted),
        cursor=cursor,
        serial=serial,
        values=_computed_values(measured[len(BEHAVIORS) :]),
    )


def _computed_values(stored: Sequence[Any]) -> dict[str, Any]:
    values = dict(zip(_COMPUTED_NAMES, stored, strict=True))
    for name in _TRUTH_NAMES:
        if values[name] is not None:
            values[name] = bool(values[name])
    return values


def decode_problem(problem_id: str, stored: str) -> dict[str, Any]:
    """Return a problem from what `encode_problem` made of it."""
    problem: dict[str, Any] = {"id": problem_id}
    problem.update(_decode_json(stored))
    return problem


def find_serial(db: sqlite3.Connection, prefix: str) -> int:
    """Return the serial of the rollout with an id prefix.

    Raises:
        NotFound: there is none. InvalidInput: there are several; names some.
    """
    exact = db.execute("SELECT serial FROM record WHERE uid = ?", (prefix,)).fetchone()
    if exact:
        return int(exact[0])
    found = db.execute(
        "SELECT serial, uid FROM record WHERE uid >= ? AND uid < ? ORDER BY uid LIMIT 9",
        (prefix, prefix + "\U0010ffff"),
    ).fetchall()
    if not found or not prefix:
        raise NotFound(f"no rollout {prefix!r}", remedy="List them with cogtui rollouts.")
    if len(found) > 1:
        names = ", ".join(uid for _, uid in found[:8])
        raise InvalidInput(
            f"{prefix!r} fits several rollouts", detail=names + (", …" if len(found) > 8 else ""), remedy="Add digits."
        )
    return int(found[0][0])


def uid_of(db: sqlite3.Connection, serial: int) -> str:
    """Return the id of a rollout that is in the index."""
    return str(db.execute("SELECT uid FROM record WHERE serial = ?", (serial,)).fetchone()[0])


class _JudgementRow(NamedTuple):
    run: str
    judge: str
    record: str
    """The judge run as JSON."""
    addresses: tuple[int | None, ...]
    """By behaviour, where the judgement lies; None where there is none."""


class DetailReader:
    """Reads complete rollouts, opening each file of a rollout once."""

    def __init__(
        self, connection: sqlite3.Connection, files: RecordReader, series: Mapping[int, RolloutSeries]
    ) -> None:
        self._db = connection
        self._files = files
        self._series = series

    def read(self, serial: int) -> RolloutDetail:
        """Read the rollout of a serial.

        Raises:
            NotFound: its row or its file is gone.
        """
        rows = rows_of(self._db, self._series, [Hit(serial, Cursor(()))])
        place = self._db.execute("SELECT file, byte FROM record WHERE serial = ?", (serial,)).fetchone()
        if not rows or place is None:
            raise NotFound("the index changed while it was read", remedy="Try again.")
        row = rows[0]
        source, byte = place
        path, _ = self._files.file(source)
        judged = self._judgement_rows(serial, row.judge)
        addresses = {at for one in judged for at in one.addresses if at is not None}
        records = self._records([(source, byte), *map(split_address, addresses)])
        record = records[source, byte]
        if record.get("id") != row.id:
            raise NotFound(f"{path} does not hold rollout {row.id} any more", remedy="Run cogtui reindex.")
        completion = str(record["completion"])
        judgements, runs = self._judgements(judged, records, completion)
        note, tags = notes_of(self._db, row.id)
        meta = record.get("meta")
        return RolloutDetail(
            row=row,
            prompt=str(record.get("prompt", "")),
            completion=completion,
            answer=record.get("answer"),
            meta=meta if isinstance(meta, dict) else {},
            judge_runs=runs,
            judgements=judgements,
            note=note,
            tags=tags,
            source=f"{path}:{byte}",
        )

    def completion(self, serial: int) -> str:
        """Read the completion of a rollout; empty if it is gone."""
        place = self._db.execute("SELECT file, byte FROM record WHERE serial = ?", (serial,)).fetchone()
        return "" if place is None else str(self._record(*place).get("completion", ""))

    def _record(self, source: int, byte: int) -> dict[str, Any]:
        return self._records([(source, byte)])[source, byte]

    def _records(self, places: Iterable[tuple[int, int]]) -> Records:
        records = {}
        for (source, byte), line in self._files.lines(places).items():
            try:
                records[source, byte] = parse_line(line)
            except ValueError as error:
                path, _ = self._files.file(source)
                raise NotFound(f"{path} changed at byte {byte}", remedy="Run cogtui reindex.") from error
        return records

    def _judgement_rows(self, serial: int, shown: str | None) -> list[_JudgementRow]:
        """The judge runs of a rollout with the addresses of their judgements, the run that lists show first."""
        rows = [
            _JudgementRow(run, judge, record, tuple(addresses))
            for run, judge, record, *addresses in self._db.execute(
                f"""SELECT j.run, j.judge, j.record, {_ADDRESS_COLUMNS}
                FROM rollout_judgement v JOIN judge_run j ON j.id = v.run
                WHERE v.serial = ?""",
                (serial,),
            )
        ]
        return sorted(rows, key=lambda row: (row.run != shown, judge_rank(row.judge), row.run))

    def _judgements(
        self, rows: Sequence[_JudgementRow], records: Records, completion: str
    ) -> tuple[tuple[BehaviorJudgement, ...], tuple[JudgeRun, ...]]:
        digest = text_sha256(completion) if rows else ""
        judgements = [
            self._judgement(row.run, behavior, at, records, digest)
            for row in rows
            for behavior, at in zip(BEHAVIORS, row.addresses, strict=True)
            if at is not None
        ]
        return tuple(judgements), tuple(JudgeRun.model_validate_json(row.record) for row in rows)

    def _judgement(self, run: str, behavior: Behavior, at: int, records: Records, digest: str) -> BehaviorJudgement:
        source, byte = split_address(at)
        record = records[source, byte]
        path, family = self._files.file(source)
        try:
            if family == "annotations":
                one = HumanAnnotation.model_validate(record)
                spans, stale = one.spans_of(behavior), one.text_sha256 != digest
                return BehaviorJudgement(
                    run, behavior, one.status(behavior), one.count(behavior), spans, None, {}, stale=stale
                )
            if family == "traces":
                spans = tuple(
                    Span.model_validate({name: value for name, value in span.items() if name != "behavior"})
                    for span in record["spans"]
                    if span["behavior"] == behavior
                )
                return BehaviorJudgement(run, behavior, "ok", len(spans), spans, None, {}, stale=False)
            judgement = Judgement.model_validate(strip_envelope(record))
        except (ValidationError, KeyError, TypeError) as error:
            raise NotFound(f"{path} holds no judgement at byte {byte}", detail=str(error)) from error
        stale = judgement.text_sha256 != digest
        return BehaviorJudgement(
            run,
            behavior,
            judgement.status,
            judgement.count,
            judgement.spans,
            judgement.raw,
            judgement.usage,
            stale,
            () if stale else judgement.facts,
            () if stale else judgement.attempts,
        )


def serials_of(db: sqlite3.Connection, ids: Iterable[str]) -> list[int]:
    """Return the serials of full ids, in their order.

    Raises:
        NotFound: names the first that does not exist.
    """
    found = []
    for uid in ids:
        row = db.execute("SELECT serial FROM record WHERE uid = ?", (uid,)).fetchone()
        if row is None:
            raise NotFound(f"no rollout {uid!r}", remedy="List them with cogtui rollouts.")
        found.append(int(row[0]))
    return found
