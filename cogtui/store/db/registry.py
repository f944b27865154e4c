"""Integer ids of series, judge runs and tasks, which rows refer to."""

import json
import sqlite3
from typing import NamedTuple

from cogtui.store.stage_files.scan import judge_rank
from pipelines.records import JudgeRun


class SeriesKey(NamedTuple):
    """Identifies a series. Condition and seed are those that the record states; None means those of its stage."""

    stage: int
    split: str
    condition: str | None
    seed: int | None


class IdRegistry:
    """Finds or inserts series and judge runs, inside the write transaction of the caller."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._series: dict[SeriesKey, int] = {}
        self._runs: dict[str, int] = {}
        self._tasks: dict[str, int] = {}

    def task(self, name: str) -> int:
        """Return the id of a task; an empty name stands for no known task."""
        if name not in self._tasks:
            self._db.execute("INSERT OR IGNORE INTO task (name) VALUES (?)", (name,))
            self._tasks[name] = int(self._db.execute("SELECT id FROM task WHERE name = ?", (name,)).fetchone()[0])
        return self._tasks[name]

    def series(self, stage: int, split: str, condition: str | None = None, seed: int | None = None) -> int:
        """Return the id of the series of a rollout."""
        key = SeriesKey(stage, split, condition, seed)
        if key not in self._series:
            self._series[key] = self._find_or_make(key)
        return self._series[key]

    def judge_run(self, run: str) -> int:
        """Return the id of a judge run; insert one without a description if it is unknown."""
        if run not in self._runs:
            row = self._db.execute("SELECT id FROM judge_run WHERE run = ?", (run,)).fetchone()
            self._runs[run] = row[0] if row else self.describe(JudgeRun(id=run, judge=run.partition("-")[0]))
        return self._runs[run]

    def describe(self, run: JudgeRun) -> int:
        """Insert or update the description of a judge run; return its id."""
        self._db.execute(
            """INSERT INTO judge_run (run, judge, rank, record) VALUES (?, ?, ?, ?)
            ON CONFLICT (run) DO UPDATE SET judge = excluded.judge, record = excluded.record""",
            (run.id, run.judge, judge_rank(run.judge), run.model_dump_json()),
        )
        self._runs[run.id] = int(self._db.execute("SELECT id FROM judge_run WHERE run = ?", (run.id,)).fetchone()[0])
        return self._runs[run.id]

    def is_described(self, run: JudgeRun) -> bool:
        """Return whether the index has exactly this description of a judge run."""
        found = self._db.execute(
            "SELECT 1 FROM judge_run WHERE run = ? AND record = ?", (run.id, run.model_dump_json())
        ).fetchone()
        return found is not None

    def clear(self) -> None:
        """Drop the cached ids, after a failed transaction or deleted rows."""
        self._series.clear()
        self._runs.clear()
        self._tasks.clear()

    def _find_or_make(self, key: SeriesKey) -> int:
        stage, split, condition, seed = key
        labels = json.loads(self._db.execute("SELECT labels FROM stage WHERE id = ?", (stage,)).fetchone()[0])
        own = condition is not None or seed is not None
        row = (
            stage,
            split,
            condition_of(labels) if condition is None else condition,
            seed_of(labels) if seed is None else seed,
            own,
        )
        found = self._db.execute(
            """SELECT id FROM series
            WHERE stage = ? AND split = ? AND condition IS ? AND seed IS ? AND has_own_labels = ?""",
            row,
        ).fetchone()
        if found:
            return int(found[0])
        made = self._db.execute(
            "INSERT INTO series (stage, split, condition, seed, has_own_labels) VALUES (?, ?, ?, ?, ?)", row
        )
        assert made.lastrowid is not None
        return made.lastrowid


def condition_of(labels: dict[str, object]) -> str | None:
    """Return the condition among the labels of a stage."""
    value = labels.get("condition")
    return None if value is None else str(value)


def seed_of(labels: dict[str, object]) -> int | None:
    """Return the seed among the labels of a stage."""
    value = labels.get("seed")
    return value if isinstance(value, int) and not isinstance(value, bool) else None
