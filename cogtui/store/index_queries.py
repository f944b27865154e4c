"""The questions that can be asked of an open index."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from cogtui.store.filter.parser import EVERYTHING, Filter
from cogtui.store.filter.unknown_values import unknown_values
from cogtui.store.ingest.annotation_rows import annotation_of
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
from cogtui.store.user_data.annotations import HumanAnnotation, latest_annotations, why_not_counted
from cogtui.store.user_data.final_labels import FinalLabel, final_labels
from cogtui.store.values.last_result import LastResultCache
from cogtui.store.values.series import RolloutSeries, load_series
from cogtui.store.values.types import (
    BadLine,
    Coverage,
    Cursor,
    GroupSort,
    Histogram,
    MetricStep,
    Page,
    ProblemGroup,
    Query,
    RolloutDetail,
    RolloutRow,
    Snippet,
    SortField,
    StepSummary,
)
from jobs.workspace import Workspace
from pipelines.errors import NotFound
from pipelines.records import JudgeRun, Metric


class IndexQueries:
    """The questions that can be asked of an open index; `Store` opens it and keeps it up to date."""

    _db: sqlite3.Connection
    _files: RecordReader

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._results = LastResultCache()
        self._opens = 0
        """How often an index was opened; part of `version`."""
        self._seen = (-1, -1)
        self._series_known: dict[int, RolloutSeries] = {}

    def version(self) -> int:
        """Return a number that changes whenever the index does."""
        raise NotImplementedError

    def _use(self, connection: sqlite3.Connection) -> None:
        """Ask this connection from now on."""
        self._db = connection
        self._opens += 1
        self._files = RecordReader(connection, self._workspace)
        self._series_known = {}
        self._seen = (-1, -1)

    # How much there is

    def coverage(self) -> Coverage:
        """Return how much of the data on disk is in the index."""
        return self._results.get_or_compute("coverage", self.version(), lambda: aggregates.coverage(self._db))

    def bad_lines(self) -> Iterator[BadLine]:
        """Return the lines that could not be read, at most a thousand per file."""
        rows = self._db.execute(
            """SELECT s.path, b.byte, b.reason FROM bad_line b JOIN stream_file s ON s.id = b.file
            ORDER BY s.path, b.byte"""
        )
        return (BadLine(str(self._workspace.path / path), byte, reason) for path, byte, reason in rows.fetchall())

    # The list

    def count(self, query: Query, *, newer_than: int | None = None) -> int:
        """Return how many rollouts a filter matches."""
        return self._results.get_or_compute(
            "count" if newer_than is None else "newer",
            (self.version(), query.filter, newer_than),
            lambda: self._selector().count(self._where(query.filter), newer_than=newer_than),
        )

    def page(
        self, query: Query, after: Cursor | None = None, *, before: Cursor | None = None, limit: int = 100
    ) -> Page[RolloutRow]:
        """Return the first rows, those after a cursor, or those before one (`before=END`: the last rows)."""
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
        """Return how many rows of the list are before a cursor."""
        return self._selector().position(self._where(query.filter), query.sort, cursor)

    def snippets(self, query: Query, ids: Iterable[str], *, width: int = 80) -> dict[str, Snippet]:
        """Return, by rollout, the first match of the `text:` terms of a filter."""
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
        """Read a rollout, by its id or a unique prefix of it.

        Raises:
            NotFound: there is none. InvalidInput: there are several; names some.
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
        """Read several rollouts, in the order of their ids.

        Raises:
            NotFound: one of them does not exist.
        """
        reader = self._details()
        for serial in serials_of(self._db, ids):
            yield reader.read(serial)

    def locate(self, query: Query, id_prefix: str) -> Cursor | None:
        """Return the cursor of a rollout in a list; None if the filter does not match it."""
        from cogtui.store.filter.ast import FieldComparison

        uid = uid_of(self._db, find_serial(self._db, id_prefix))
        only = Filter(f"id:{uid}", FieldComparison("id", ":", (uid,)))
        found = self.page(Query(query.filter & only, query.sort), limit=1)
        return found.rows[0].cursor if found.rows else None

    def same_problem(self, rollout_id: str, *, limit: int = 1000) -> list[RolloutRow]:
        """Return the rollouts of the same problem, by condition, seed, step and sample."""
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
        """Return the problems of a filter: the first ones, those after a cursor, or those before one."""
        about = (self.version(), query.filter)  # first: it reopens the index if there is a newer one
        where, selector = self._where(query.filter), self._selector()
        known = None
        if sort != "problem":
            known = self._results.get_or_compute("totals", about, lambda: totals(self._db, selector, where))
        return groups.problems(self._db, selector, where, after, before, sort, descending, limit, known)

    def histogram(self, query: Query, field: SortField, *, bins: int = 20) -> Histogram:
        """Return the distribution of a field over the rollouts of a filter."""
        return aggregates.histogram(self._db, self._selector(), self._where(query.filter), field, bins)

    def per_step(self, chosen: Filter = EVERYTHING) -> list[StepSummary]:
        """Return the means per stage, split and step, for curves."""
        return aggregates.per_step(self._db, self._selector(), self._where(chosen), self._series())

    def metrics(self, stage: str) -> list[Metric]:
        """Return the metrics of a stage by step; values of several streams at a step are merged."""
        return aggregates.metrics(self._db, stage)

    def metric_names(self, stages: Collection[str]) -> set[tuple[str, str]]:
        """Return (stream, name) of the metrics that stages wrote."""
        return aggregates.metric_names(self._db, stages)

    def metric_steps(self, stage: str, stream: str, names: Collection[str], *, at_most: int = 2000) -> list[MetricStep]:
        """Return some metrics of one stream of a stage by step, at most so many points of each."""
        return aggregates.metric_steps(self._db, stage, stream, names, at_most)

    def judge_runs(self) -> list[JudgeRun]:
        """Return all judge runs of the index."""
        rows = self._db.execute("SELECT record FROM judge_run ORDER BY rank, run")
        return [JudgeRun.model_validate_json(row[0]) for row in rows]

    def judge_summaries(self) -> list[JudgeRunSummary]:
        """Return totals per judge run; scans all judgements."""
        return run_summaries(self._db)

    def judged_in_common(self, runs: Iterable[str], *, limit: int) -> tuple[int, list[str]]:
        """Return how many rollouts all of these judge runs judged, and the ids of a fixed sample of them."""
        return judged_in_common(self._db, list(runs), limit)

    def judge_fingerprint(self, run: str) -> tuple[object, ...]:
        """Return a value that changes whenever a judge run has new judgements."""
        return run_fingerprint(self._db, run)

    def values(self, field: str, prefix: str = "", *, limit: int = 50) -> list[str]:
        """Return existing values of a field, for completion."""
        return aggregates.values(self._db, self._series(), field, prefix, limit)

    def unknown_values(self, wanted: Filter) -> list[str]:
        """Return a sentence for each value in a filter that no rollout has, with the nearest one that some have."""
        return unknown_values(wanted.term, lambda field: self.values(field, limit=1000))

    # What people wrote

    def annotations(self) -> list[notes.Note]:
        """Return the current notes and tags of all rollouts."""
        return notes.all_notes(self._db)

    def human(self, rollout_id: str, annotator: str) -> HumanAnnotation | None:
        """Return the annotation of a rollout, given by its full id, by one person; None if there is none."""
        return annotation_of(self._db, self._files, rollout_id, annotator)

    def humans(self) -> list[HumanAnnotation]:
        """Return the current annotations that fit their texts, by annotator and rollout.

        Those of rollouts that are not in the index cannot be checked and are returned too.
        """
        return [one for one, why in self.checked_humans() if why is None]

    def checked_humans(self) -> list[tuple[HumanAnnotation, str | None]]:
        """Return all current annotations, each with why it is not counted, or None if it fits its text."""
        return [(one, self._why_not_counted(one)) for one in latest_annotations(self._workspace)]

    def _why_not_counted(self, one: HumanAnnotation) -> str | None:
        row = self._db.execute("SELECT serial FROM record WHERE uid = ?", (one.rollout,)).fetchone()
        text = "" if row is None else self._details().completion(row[0])
        return why_not_counted(one, text) if text else None

    def final_labels(self) -> dict[str, FinalLabel]:
        """Return what people say of each rollout, after adjudication; also of rollouts that are not in the index."""
        return final_labels(self.humans())

    def existing(self, ids: Iterable[str]) -> list[str]:
        """Return those of some full rollout ids that are in the index, in the order given."""
        found = "SELECT 1 FROM record WHERE uid = ?"
        return [uid for uid in ids if self._db.execute(found, (uid,)).fetchone() is not None]

    def same_text(self, problem: Mapping[str, Any], text: str) -> str | None:
        """Return the id of the first rollout of a problem with exactly this completion."""
        asked = (encode_problem(problem), len(text))
        rows = self._db.execute(
            """SELECT o.serial, r.uid FROM rollout o JOIN record r ON r.serial = o.serial
            WHERE r.problem = ? AND o.length = ? ORDER BY o.ordinal""",
            asked,
        ).fetchall()
        reader = self._details()
        return next((uid for serial, uid in rows if reader.completion(serial) == text), None)

    # Parts of queries

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


def _page(rows: tuple[RolloutRow, ...], *, before: bool, after: bool) -> Page[RolloutRow]:
    return Page(
        rows,
        rows[0].cursor if rows and before else None,
        rows[-1].cursor if rows and after else None,
    )
