"""Patterns are looked for only where they can be: in blocks of rollouts that have one so near."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogtui.store import Query, open_store
from cogtui.store.db.distance_blocks import DISTANCE_TABLES, lower_block_minima
from cogtui.store.db.schema import DISTANCE_COLUMNS, current_version, migrate, schema_version
from cogtui.store.db.statements import INSERT_DISTANCES
from cogtui.store.filter.parser import parse
from cogtui.store.index import REBUILDING
from cogtui.store.values.span_distances import NO_DISTANCE
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts

ROWS = st.dictionaries(
    st.integers(1, 5000), st.tuples(*[st.integers(NO_DISTANCE, 40)] * len(DISTANCE_COLUMNS)), min_size=1, max_size=30
)  # fmt: skip
COLUMN = "verification__backtracking"


def gap_tables() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    return connection


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(ROWS, min_size=1, max_size=4), below=st.integers(0, 45))
def test_no_block_is_left_out_that_has_the_pattern(batches: list[dict[int, tuple[int, ...]]], below: int) -> None:
    """Also where rows are written again with other distances, as when a person judges."""
    db = gap_tables()
    for batch in batches:
        rows = [(serial, *distances) for serial, distances in batch.items()]
        db.executemany(INSERT_DISTANCES, rows)
        lower_block_minima(db, rows)
    wanted = [
        row[0] for row in db.execute(f"SELECT serial FROM span_distance WHERE {COLUMN} < ? ORDER BY serial", (below,))
    ]
    tables = DISTANCE_TABLES.removesuffix("CROSS JOIN rollout o ON o.serial = d.serial")
    found = db.execute(
        f"SELECT d.serial FROM {tables} WHERE n.{COLUMN} < ? AND d.{COLUMN} < ? ORDER BY 1", (below, below)
    ).fetchall()
    assert [row[0] for row in found] == wanted


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_blocks_written_once_have_their_least_distances(rows: dict[int, tuple[int, ...]]) -> None:
    db = gap_tables()
    written = [(serial, *distances) for serial, distances in rows.items()]
    db.executemany(INSERT_DISTANCES, written)
    lower_block_minima(db, written)
    least = ", ".join(f"min({name})" for name in DISTANCE_COLUMNS)
    assert (
        db.execute("SELECT * FROM span_distance_block ORDER BY block").fetchall()
        == db.execute(f"SELECT serial >> 10, {least} FROM span_distance GROUP BY 1 ORDER BY 1").fetchall()
    )


def test_an_index_of_an_earlier_layout_is_rebuilt_when_it_is_opened(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    workspace.create()
    lab = Lab(workspace)
    folder = lab.stage("ppo", 1, {"condition": "none", "seed": 1})
    rollouts = make_rollouts(folder.key, range(0, 50, 10), problems=6)
    write_rollouts(folder, rollouts)
    judged = lab.judge_stage(99)
    for one in rollouts:
        write_judgements(judged, judge(one))
    patterns = [f"{a}->{b}{limit}" for a in BEHAVIORS for b in BEHAVIORS for limit in ("", "<40")]

    def answers() -> list[int]:
        with open_store(workspace) as store:
            store.ingest()
            return [store.count(Query(parse(pattern))) for pattern in patterns]

    before = answers()
    assert any(before)
    with open_store(workspace) as store:
        path = store.path
    assert path is not None
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE span_distance RENAME TO distance")
        db.execute("ALTER TABLE rollout_judgement RENAME TO verdict")
        db.execute("PRAGMA user_version = 4")
    with pytest.raises(InvalidInput, match="earlier cogtui") as caught:
        open_store(workspace, readonly=True)
    assert "reindex" in caught.value.remedy
    with open_store(workspace) as store:
        assert store.take_notices() == [REBUILDING]
        assert store.take_notices() == []
        assert store.count(Query()) == 0
        assert store.path != path
    assert not path.exists()
    assert answers() == before
    with open_store(workspace, readonly=True) as store:
        assert store.take_notices() == []
        assert store.path is not None
        with sqlite3.connect(store.path) as db:
            assert schema_version(db) == current_version()
