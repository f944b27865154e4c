"""Counts, averages, histograms and field values over many rollouts."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, Final

from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.db.summaries import AVERAGES
from cogtui.store.query.filter_sql import FilterConditions, series_sql
from cogtui.store.query.select import RowSelector, join_conditions
from cogtui.store.values.series import RolloutSeries, values_of
from cogtui.store.values.types import Bin, Coverage, Histogram, MetricStep, SortField, StepSummary
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput
from pipelines.records import Metric

MANY_VALUES: Final = 20_000
"""Up to this many distinct values are counted one by one; more are counted in bins by SQL."""
_WHOLE: Final = {column.name: column.column for column in VALUE_COLUMNS if column.type == "whole" and column.sortable}


def coverage(db: sqlite3.Connection) -> Coverage:
    """Return how much of the data on disk is in the index."""
    files, read, total, bad = db.execute(
        """SELECT count(*), coalesce(sum(offset), 0), coalesce(sum(size - torn_bytes), 0), coalesce(sum(bad_lines), 0)
        FROM stream_file"""
    ).fetchone()
    counts = [
        db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("rollout", "rollout_judgement", "orphan_judgement")
    ]
    newest = db.execute("SELECT max(serial) FROM rollout").fetchone()[0] or 0
    return Coverage(
        rollouts=counts[0],
        judgements=counts[1],
        files=files,
        bytes_read=read,
        bytes_total=total,
        bad_lines=bad,
        orphans=counts[2],
        newest=newest,
    )


def per_step(
    db: sqlite3.Connection, selector: RowSelector, where: FilterConditions, series: Mapping[int, RolloutSeries]
) -> list[StepSummary]:
    """Return the means per series and step, by condition, seed, split, stage and step."""
    if where.only_series:
        rows = _kept_summaries(db, where)
    else:
        tables, conditions = selector.collect(where)
        sql, values = join_conditions(conditions)
        rows = db.execute(
            f"SELECT o.series, o.step, {AVERAGES} FROM {tables} WHERE {sql} GROUP BY o.series, o.step", values
        ).fetchall()
    found = [_summary(row, series[row[0]]) for row in rows if row[0] in series]
    return sorted(found, key=lambda one: (one.condition or "", one.seed or 0, one.split, one.stage, one.step))


def _kept_summaries(db: sqlite3.Connection, where: FilterConditions) -> list[tuple[Any, ...]]:
    """The averages computed at ingest; stale ones are computed here."""
    chosen = "1" if where.series is None else series_sql(where.series)
    rows = db.execute(
        f"""SELECT o.* FROM step_summary o WHERE {chosen} AND NOT EXISTS (
        SELECT 1 FROM stale_summary t WHERE t.series = o.series AND t.step = o.step)"""
    ).fetchall()
    rows += db.execute(
        f"""SELECT o.series, o.step, {AVERAGES} FROM stale_summary t CROSS JOIN rollout o
        ON o.series = t.series AND o.step = t.step WHERE {chosen} GROUP BY o.series, o.step"""
    ).fetchall()
    return rows


def _summary(row: tuple[Any, ...], series: RolloutSeries) -> StepSummary:
    _, step, rollouts, scored, reward, accuracy, length, tokens, *rest = row
    return StepSummary(
        stage=series.stage,
        condition=series.condition,
        seed=series.seed,
        split=series.split,
        step=step,
        rollouts=rollouts,
        scored=scored,
        reward=reward,
        accuracy=accuracy,
        length=length,
        tokens=tokens,
        judged=tuple(rest[: len(BEHAVIORS)]),
        counts=tuple(rest[len(BEHAVIORS) :]),
    )


def histogram(
    db: sqlite3.Connection, selector: RowSelector, where: FilterConditions, field: SortField, bins: int
) -> Histogram:
    """Return the distribution of a numeric field.

    Raises:
        InvalidInput: the field is not numeric, or `bins` is below 1.
    """
    if bins < 1:
        raise InvalidInput(f"a histogram has at least one bin, not {bins}")
    if field == "correct":
        return _truth(db, selector, where)
    column = "reward" if field == "reward" else _WHOLE.get(field)
    if column is None:
        raise InvalidInput(f"{field} is not a number", remedy=f"One of: reward, correct, {', '.join(_WHOLE)}.")
    # One pass, along the sort index if there is no filter: a field rarely has more than some thousand values.
    counts = dict(_ask(db, selector, where, f"o.{column} AS bin, count(*)", "bin", limit=MANY_VALUES + 2))
    many = len(counts) - (None in counts) > MANY_VALUES
    if many:
        counts = _counts_of_many(db, selector, where, column, bins)
    missing = counts.pop(None, 0)
    found: tuple[Bin, ...] = ()
    if counts and field == "reward" and not many and len(counts) <= bins:
        # Rewards usually have few values: then each gets a bar of its own.
        found = tuple(Bin(value, value, count, f"reward={value!r}") for value, count in sorted(counts.items()))
    elif counts:
        found = _reward_bins(counts, bins) if field == "reward" else _whole_bins(counts, field, bins)
    return Histogram(field, found, missing)


def _counts_of_many(
    db: sqlite3.Connection, selector: RowSelector, where: FilterConditions, column: str, bins: int
) -> dict[float | None, int]:
    """Counts with each value replaced by the lower edge of its bin; the maximum stays as it is."""
    low, high = _ask(db, selector, where, f"min(o.{column}), max(o.{column})")[0]
    if column == "reward":
        edges = _edges(low, high, bins)
        cases = " ".join(f"WHEN o.reward < {edges[number + 1]!r} THEN {edges[number]!r}" for number in range(bins - 1))
        lowest = f"CASE {cases} ELSE {edges[bins - 1]!r} END" if cases else repr(low)
    else:
        width = _width(low, high, bins)
        lowest = f"{int(low)} + (o.{column} - {int(low)}) / {width} * {width}"
    expression = f"CASE WHEN o.{column} IS NULL THEN NULL WHEN o.{column} = {high!r} THEN {high!r} ELSE {lowest} END"
    return dict(_ask(db, selector, where, f"{expression} AS bin, count(*)", "bin"))


def _edges(low: float, high: float, bins: int) -> list[float]:
    width = (high - low) / bins
    return [low + width * number for number in range(bins)] + [high]


def _width(low: float, high: float, bins: int) -> int:
    return max(1, math.ceil((high - low + 1) / bins))


def _whole_bins(counts: Mapping[float, int], field: str, bins: int) -> tuple[Bin, ...]:
    low, high = int(min(counts)), int(max(counts))
    width = _width(low, high, bins)
    sums: dict[int, int] = {}
    for value, count in sorted(counts.items()):
        number = (int(value) - low) // width
        sums[number] = sums.get(number, 0) + count
    found = []
    for number, count in sums.items():
        first = low + number * width
        last = min(first + width - 1, high)
        text = f"{field}={first}" if first == last else f"{field}>={first} {field}<={last}"
        found.append(Bin(first, last, count, text))
    return tuple(found)


def _reward_bins(counts: Mapping[float, int], bins: int) -> tuple[Bin, ...]:
    values = sorted(counts.items())
    edges = _edges(values[0][0], values[-1][0], bins)
    sums: dict[int, int] = {}
    for value, count in values:
        number = next((number for number in range(bins - 1) if value < edges[number + 1]), bins - 1)
        sums[number] = sums.get(number, 0) + count
    return tuple(
        Bin(
            edges[number],
            edges[number + 1],
            count,
            f"reward>={edges[number]!r} reward{'<' if number < bins - 1 else '<='}{edges[number + 1]!r}",
        )
        for number, count in sums.items()
    )


def _truth(db: sqlite3.Connection, selector: RowSelector, where: FilterConditions) -> Histogram:
    rows = dict(_ask(db, selector, where, "o.correct AS bin, count(*)", "bin"))
    bars = [
        Bin(value, value, rows[value], f"correct:{'true' if value else 'false'}") for value in (0, 1) if value in rows
    ]
    return Histogram("correct", tuple(bars), rows.get(None, 0))


def _ask(
    db: sqlite3.Connection,
    selector: RowSelector,
    where: FilterConditions,
    columns: str,
    group: str = "",
    *,
    limit: int = -1,
) -> list[tuple[Any, ...]]:
    tables, conditions = selector.collect(where)
    sql, values = join_conditions(conditions)
    grouping = f"GROUP BY {group} ORDER BY {group}" if group else ""
    return db.execute(f"SELECT {columns} FROM {tables} WHERE {sql} {grouping} LIMIT ?", (*values, limit)).fetchall()


def metrics(db: sqlite3.Connection, stage: str) -> list[Metric]:
    """Return the metrics of a stage, by step."""
    rows = db.execute(
        """SELECT m.step, m.name, m.value FROM metric m JOIN stage t ON t.id = m.stage WHERE t.key = ?
        ORDER BY m.step, m.stream DESC, m.name""",
        (stage,),
    )
    by_step: dict[int, dict[str, float]] = {}
    for step, name, value in rows:
        by_step.setdefault(step, {})[name] = value
    return [Metric(step=step, values=values) for step, values in by_step.items()]


def metric_names(db: sqlite3.Connection, stages: Collection[str]) -> set[tuple[str, str]]:
    """Return (stream, name) of all metrics that these stages wrote, as far as their first and last records say."""
    found: set[tuple[str, str]] = set()
    for (stage,) in db.execute(f"SELECT id FROM stage WHERE key IN ({_marks(stages)})", tuple(stages)).fetchall():
        # Not DISTINCT over all rows: a stage of 100,000 steps has two million.
        for (stream,) in db.execute("SELECT DISTINCT stream FROM metric WHERE stage = ?", (stage,)).fetchall():
            for extreme in ("min", "max"):
                found |= {
                    (stream, name)
                    for (name,) in db.execute(
                        f"""SELECT name FROM metric WHERE stage = ?1 AND stream = ?2 AND step =
                        (SELECT {extreme}(step) FROM metric WHERE stage = ?1 AND stream = ?2)""",
                        (stage, stream),
                    )
                }
    return found


def metric_steps(
    db: sqlite3.Connection, stage: str, stream: str, names: Collection[str], at_most: int
) -> list[MetricStep]:
    """Return some metrics of one stream of a stage by step.

    Args:
        db: the index.
        stage: key.
        stream: of metrics, e.g. `train`.
        names: of the metrics.
        at_most: points of one metric; with more steps than these, neighbouring steps are put together.
    """
    found = db.execute(
        """SELECT t.id, min(m.step), max(m.step) FROM metric m JOIN stage t ON t.id = m.stage
        WHERE t.key = ? AND m.stream = ?""",
        (stage, stream),
    ).fetchone()
    number, first, last = found
    if first is None or not names:
        return []
    width = max(1, math.ceil((last - first + 1) / at_most))
    rows = db.execute(
        f"""SELECT name, avg(step), avg(value), min(value), max(value), count(*) FROM metric
        WHERE stage = ? AND stream = ? AND name IN ({_marks(names)})
        GROUP BY name, (step - ?) / ? ORDER BY name, min(step)""",
        (number, stream, *names, first, width),
    )
    return [MetricStep(stage, stream, *row) for row in rows]


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def values(
    db: sqlite3.Connection, series: Mapping[int, RolloutSeries], field: str, prefix: str, limit: int
) -> list[str]:
    """Return the values of a text field with a prefix, sorted."""
    end = prefix + "\U0010ffff"
    if field in _VALUE_QUERIES:
        rows = db.execute(f"{_VALUE_QUERIES[field]} LIMIT ?", (prefix, end, limit))
        return [str(row[0]) for row in rows]
    try:
        found = {str(value) for one in series.values() for value in values_of(one, field)}
    except KeyError:
        return []
    return sorted(value for value in found if value.startswith(prefix))[:limit]


_VALUE_QUERIES: Final = {
    "problem": "SELECT id FROM problem WHERE id >= ? AND id < ? ORDER BY id",
    "tag": "SELECT DISTINCT tag FROM tag WHERE tag >= ? AND tag < ? ORDER BY tag",
    "judge": "SELECT run FROM judge_run WHERE run >= ? AND run < ? ORDER BY run",
    "id": "SELECT uid FROM record WHERE uid >= ? AND uid < ? ORDER BY uid",
}
