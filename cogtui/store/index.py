"""The index of a workspace as the app and the commands see it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from cogtui.store.db.connection import connect, connect_memory, ensure_index, translate_sqlite_errors
from cogtui.store.db.lease import LeaseHolder, lease_holder
from cogtui.store.db.location import IndexLocation, locate_index, publish
from cogtui.store.filter.parser import EVERYTHING, Filter
from cogtui.store.ingest.annotation_rows import annotation_of
from cogtui.store.ingest.follower import Follower
from cogtui.store.ingest.writer import IndexWriter
from cogtui.store.query import aggregates
from cogtui.store.query import problem_groups as groups
from cogtui.store.query.details import DetailReader, find_serial, rows_of, serials_of, uid_of
from cogtui.store.query.filter_sql import FilterConditions, compile_filter
from cogtui.store.query.judge_runs import JudgeRunSummary, judged_in_common, run_fingerprint, run_summaries
from cogtui.store.query.problem_totals import totals
from cogtui.store.query.select import RowSelector
from cogtui.store.query.snippets import phrases_of, snippet_of
from cogtui.store.stage_files.decode import encode_problem
from cogtui.store.stage_files.record_reader import RecordReader
from cogtui.store.user_data import notes
from cogtui.store.user_data.annotations import HumanAnnotation, check_annotation, latest_annotations
from cogtui.store.user_data.annotations import append_annotations as append_human
from cogtui.store.values.last_result import LastResultCache
from cogtui.store.values.series import RolloutSeries, load_series
from cogtui.store.values.types import (
    BadLine,
    Coverage,
    Cursor,
    GroupSort,
    Histogram,
    Page,
    ProblemGroup,
    Query,
    RolloutDetail,
    RolloutRow,
    Snippet,
    Sort,
    SortField,
    StepSummary,
)
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, NotFound
from pipelines.records import JudgeRun, Metric

REBUILDING: Final = "the index was made by an earlier cogtui: it is being built again from the stage folders"


class Store:
    """Answers questions about the rollouts of a workspace. One thread a store; open another for another thread."""

    def __init__(self, workspace: Workspace, location: IndexLocation | None, *, readonly: bool) -> None:
        self._workspace = workspace
        self._location = location
        self._readonly = readonly
        self._writer: IndexWriter | None = None
        self._follower: Follower | None = None
        self._seen = (-1, -1)
        self._results = LastResultCache()
        self._opens = 0
        self.notices: tuple[str, ...] = ()
        """What a user should be told about this index."""
        self._open()

    def _open(self) -> None:
        self._opens += 1
        self._path: Path | None = None
        if self._location is None:
            self._db = connect_memory()
        else:
            before = self._location.current()
            self._path = before if self._readonly else ensure_index(self._location)
            if before not in (None, self._path):
                self.notices = (REBUILDING,)
            if self._path is None:
                raise NotFound(
                    f"there is no index of {self._workspace.path} yet", remedy="Make it with cogtui reindex."
                )
            self._db = connect(self._path)
            self._db.execute("PRAGMA query_only = ON")
        self._files = RecordReader(self._db, self._workspace)
        self._series_known: dict[int, RolloutSeries] = {}
        self._seen = (-1, -1)

    @property
    def workspace(self) -> Workspace:
        """The workspace this is the index of."""
        return self._workspace

    @property
    def path(self) -> Path | None:
        """The index file; None for a workspace that does not exist yet."""
        return self._path

    # Keeping up to date

    def ingest(self, *, briefly: bool = False) -> Coverage:
        """Reads all new complete lines into the index, here and now. A no-op where another process does so.

        Args:
            briefly: stop after the first rows, to show something; `follow` or another call goes on from there.
        """
        writer = self._writing()
        if writer is not None and writer.take():
            try:
                for _ in writer.round():
                    if briefly:
                        break
            finally:
                writer.release()
        return self.coverage()

    def follow(self) -> None:
        """Starts a process that keeps the index up to date until this store is closed."""
        if self._follower is None and not self._readonly and self._location is not None:
            self._follower = Follower(self._workspace)

    def writer(self) -> LeaseHolder | None:
        """The process that writes the index now, or None."""
        return lease_holder(self._db)

    def version(self) -> int:
        """Changes whenever the index did; cheap enough to ask ten times a second."""
        if self._location is None:
            if self._workspace.path.is_dir():
                self._location = locate_index(self._workspace)
                self._reopen()
        elif self._location.current() not in (None, self._path):
            self._reopen()
        return (self._opens << 40) + int(self._db.execute("PRAGMA data_version").fetchone()[0])

    def coverage(self) -> Coverage:
        """How much of what is on disk the index holds."""
        return self._results.get_or_compute("coverage", self.version(), lambda: aggregates.coverage(self._db))

    def bad_lines(self) -> Iterator[BadLine]:
        """Lines that could not be read, at most a thousand a file."""
        rows = self._db.execute(
            """SELECT s.path, b.byte, b.reason FROM bad_line b JOIN stream_file s ON s.id = b.file
            ORDER BY s.path, b.byte"""
        )
        return (BadLine(str(self._workspace.path / path), byte, reason) for path, byte, reason in rows.fetchall())

    # The list

    def count(self, query: Query, *, newer_than: int | None = None) -> int:
        """How many rollouts the filter lets through."""
        return self._results.get_or_compute(
            "count" if newer_than is None else "newer",
            (self.version(), query.filter, newer_than),
            lambda: self._selector().count(self._where(query.filter), newer_than=newer_than),
        )

    def page(
        self, query: Query, after: Cursor | None = None, *, before: Cursor | None = None, limit: int = 100
    ) -> Page[RolloutRow]:
        """The first rows, those after a cursor, or those before one (`before=END`: the last rows)."""
        where, selector = self._where(query.filter), self._selector()
        if before is not None:
            hits = selector.before(where, query.sort, before, limit + 1)
            more, hits = len(hits) > limit, hits[-limit:]
            rows = rows_of(self._db, self._series(), hits)
            follows = bool(before.values)
            return _page(rows, before=more, after=follows)
        hits = selector.after(where, query.sort, after, limit + 1)
        more, hits = len(hits) > limit, hits[:limit]
        return _page(rows_of(self._db, self._series(), hits), before=after is not None, after=more)

    def position(self, query: Query, cursor: Cursor) -> int:
        """How many rows of the list stand before a cursor."""
        return self._selector().position(self._where(query.filter), query.sort, cursor)

    def snippets(self, query: Query, ids: Iterable[str], *, width: int = 80) -> dict[str, Snippet]:
        """For each rollout the first place that a `text:` filter found."""
        phrases = phrases_of(query.filter)
        reader = self._details()
        found = {}
        for uid in ids if phrases else ():
            snippet = snippet_of(reader.completion(find_serial(self._db, uid)), phrases, width)
            if snippet is not None:
                found[uid] = snippet
        return found

    # One rollout

    def rollout(self, id_prefix: str) -> RolloutDetail:
        """One rollout whole, by its id or any unique prefix of it.

        Raises:
            NotFound: none. InvalidInput: several; names some.
        """
        return self._details().read(find_serial(self._db, id_prefix))

    def rollout_of(self, row: RolloutRow) -> RolloutDetail:
        """Read the whole rollout of a row, without resolving its id again.

        Raises:
            NotFound: the rollout is gone.
        """
        with contextlib.suppress(NotFound):
            detail = self._details().read(row.serial)
            if detail.row.id == row.id:
                return detail
        return self.rollout(row.id)  # the index was rebuilt since the row was read: serials are different ones

    def rollouts(self, ids: Iterable[str]) -> Iterator[RolloutDetail]:
        """Several rollouts whole, in the order asked for.

        Raises:
            NotFound: one of them is not there.
        """
        reader = self._details()
        for serial in serials_of(self._db, ids):
            yield reader.read(serial)

    def locate(self, query: Query, id_prefix: str) -> Cursor | None:
        """The place of a rollout in a list; None where the filter refuses it."""
        from cogtui.store.filter.ast import FieldComparison

        uid = uid_of(self._db, find_serial(self._db, id_prefix))
        only = Filter(f"id:{uid}", FieldComparison("id", ":", (uid,)))
        found = self.page(Query(query.filter & only, query.sort), limit=1)
        return found.rows[0].cursor if found.rows else None

    def same_problem(self, rollout_id: str, *, limit: int = 1000) -> list[RolloutRow]:
        """The rollouts of the same problem over steps and conditions, by condition, seed, step and sample."""
        serial = find_serial(self._db, rollout_id)
        return groups.same_problem(self._db, self._series(), serial, limit)

    # Many at once

    def problems(
        self,
        query: Query,
        after: Cursor | None = None,
        *,
        before: Cursor | None = None,
        sort: GroupSort = "problem",
        descending: bool = False,
        limit: int = 50,
    ) -> Page[ProblemGroup]:
        """The rollouts of a filter grouped by problem: the first ones, those after a cursor, or those before one."""
        about = (self.version(), query.filter)  # first: it opens the index again where there is a newer one
        where, selector = self._where(query.filter), self._selector()
        known = None
        if sort != "problem":
            known = self._results.get_or_compute("totals", about, lambda: totals(self._db, selector, where))
        return groups.problems(self._db, selector, where, after, before, sort, descending, limit, known)

    def histogram(self, query: Query, field: SortField, *, bins: int = 20) -> Histogram:
        """How a field is spread over the rollouts of a filter."""
        return aggregates.histogram(self._db, self._selector(), self._where(query.filter), field, bins)

    def per_step(self, chosen: Filter = EVERYTHING) -> list[StepSummary]:
        """Means per stage, split and step: what curves are drawn from."""
        return aggregates.per_step(self._db, self._selector(), self._where(chosen), self._series())

    def metrics(self, stage: str) -> list[Metric]:
        """The metrics of a stage by step; where several streams have a step, their values are put together."""
        return aggregates.metrics(self._db, stage)

    def judge_runs(self) -> list[JudgeRun]:
        """All judge runs of the index."""
        rows = self._db.execute("SELECT record FROM judge_run ORDER BY rank, run")
        return [JudgeRun.model_validate_json(row[0]) for row in rows]

    def judge_summaries(self) -> list[JudgeRunSummary]:
        """What each judge run did; a scan of all verdicts."""
        return run_summaries(self._db)

    def judged_in_common(self, runs: Iterable[str], *, limit: int) -> tuple[int, list[str]]:
        """How many rollouts all of these judge runs judged, and the ids of a sample, the same one each time."""
        return judged_in_common(self._db, list(runs), limit)

    def judge_fingerprint(self, run: str) -> tuple[object, ...]:
        """Changes whenever a judge run said something new."""
        return run_fingerprint(self._db, run)

    def values(self, field: str, prefix: str = "", *, limit: int = 50) -> list[str]:
        """Values of a field that occur, for completion."""
        return aggregates.values(self._db, self._series(), field, prefix, limit)

    # What people write

    def annotate(self, rollout_id: str, *, note: str | None = None, tags: Iterable[str] | None = None) -> None:
        """Sets the note or the tags of a rollout; kept outside the index.

        Raises:
            NotFound: there is no such rollout. InvalidInput: a tag is none.
            MissingRequirement: the workspace cannot be written.
        """
        uid = self.rollout(rollout_id).row.id
        self.write_annotations([notes.new_note(uid, note=note, tags=tags)])

    def write_annotations(self, annotations: Iterable[notes.Note]) -> None:
        """Keeps annotations made elsewhere, and shows them."""
        if self._readonly:
            raise InvalidInput("this store was opened for reading only")
        notes.append_notes(self._workspace, annotations)
        writer = self._writing()
        if writer is not None:
            writer.sync_notes()

    def annotations(self) -> list[notes.Note]:
        """The notes and tags of all rollouts, as they stand."""
        return notes.all_notes(self._db)

    def human(self, rollout_id: str, annotator: str) -> HumanAnnotation | None:
        """What a person said of a rollout, by its full id; None where that is nothing yet."""
        return annotation_of(self._db, self._files, rollout_id, annotator)

    def humans(self) -> list[HumanAnnotation]:
        """What people say of rollouts, as it stands, by annotator and rollout; also of rollouts that are not here."""
        return list(latest_annotations(self._workspace))

    def same_text(self, problem: Mapping[str, Any], text: str) -> str | None:
        """Id of the first rollout of a problem with exactly this completion."""
        asked = (encode_problem(problem), len(text))
        rows = self._db.execute(
            """SELECT o.serial, r.uid FROM rollout o JOIN record r ON r.serial = o.serial
            WHERE r.problem = ? AND o.length = ? ORDER BY o.ordinal""",
            asked,
        ).fetchall()
        reader = self._details()
        return next((uid for serial, uid in rows if reader.completion(serial) == text), None)

    def write_human(self, annotations: Iterable[HumanAnnotation], *, after: str | None = "") -> None:
        """Keeps annotations, and shows them.

        Args:
            annotations: checked against the texts of their rollouts.
            after: stamp of what was known to stand when the annotation was changed (None: nothing); where something
                else stands, somebody changed it elsewhere, and nothing is written. Empty: whatever stands.

        Raises:
            NotFound: there is no such rollout. InvalidInput: a span is wrong, or see `after`.
            MissingRequirement: the workspace cannot be written.
        """
        if self._readonly:
            raise InvalidInput("this store was opened for reading only")
        kept = list(annotations)
        for one in kept:
            check_annotation(one, self.rollout(one.rollout).completion)
            standing = self.human(one.rollout, one.annotator) if after != "" else None
            if after != "" and (None if standing is None else standing.stamp) != after:
                raise InvalidInput(
                    f"{one.annotator} annotated this rollout elsewhere meanwhile", remedy="Leave it and come back."
                )
        append_human(self._workspace, kept)
        writer = self._writing()
        if writer is not None:
            writer.sync_annotations()

    def interrupt(self) -> None:
        """Ends the question another thread is asking of this store; it fails there with `sqlite3.OperationalError`."""
        self._db.interrupt()

    def close(self) -> None:
        """Closes the index and ends `follow`."""
        if self._follower is not None:
            self._follower.stop()
            self._follower = None
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._db.close()

    def _reopen(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        self._db.close()
        self._open()

    def _writing(self) -> IndexWriter | None:
        if self._readonly:
            return None
        self.version()  # another process may have built a newer index, or the workspace may have come to be
        if self._path is None or self._location is None:
            return None
        if self._writer is None:
            publish(self._workspace, self._location, self._path)
            self._writer = IndexWriter(self._path, self._workspace)
        return self._writer

    def _series(self) -> dict[int, RolloutSeries]:
        seen = (self._opens, int(self._db.execute("PRAGMA data_version").fetchone()[0]))
        if seen != self._seen:
            self._series_known = load_series(self._db)
            self._files = RecordReader(self._db, self._workspace)
            self._seen = seen
        return self._series_known

    def _where(self, chosen: Filter) -> FilterConditions:
        return compile_filter(chosen, self._series())

    def _selector(self) -> RowSelector:
        series = self._series()
        return RowSelector(self._db, series, self._files)

    def _details(self) -> DetailReader:
        return DetailReader(self._db, self._files, self._series())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with translate_sqlite_errors(self._path):
            self.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise error


def _page(rows: tuple[RolloutRow, ...], *, before: bool, after: bool) -> Page[RolloutRow]:
    return Page(
        rows,
        rows[0].cursor if rows and before else None,
        rows[-1].cursor if rows and after else None,
    )


def open_store(workspace: Workspace, *, readonly: bool = False) -> Store:
    """Opens the index of a workspace; makes it first where there is none.

    Args:
        workspace: one that does not exist yet is an empty one.
        readonly: never write the index, not even to make it.

    Raises:
        MissingRequirement: no place for the index can be written.
        NotFound: readonly, and there is no index yet.
        DamagedIndex: the index file is broken; `cogtui reindex` mends that.
    """
    location = locate_index(workspace) if workspace.path.is_dir() else None
    return Store(workspace, location, readonly=readonly)


__all__ = ["Sort", "Store", "open_store"]
