"""The names a behaviour cannot have are those that mean something else in the index, in filters, lists and exports."""

import sqlite3
from pathlib import Path

import pytest

from cogtui.analysis.curves import MEASURES
from cogtui.store import Query, open_store
from cogtui.store.db.schema import migrate
from cogtui.store.filter.ast import FIELDS, HAS
from cogtui.store.query.serialize import rollout_dict
from cogtui.store.values.fields import COLUMN_NAMES
from cogtui.store.values.types import SORT_FIELDS
from pipelines.behaviors.sets.definition import RESERVED_NAMES, read_set
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput
from tests.app.conftest import Builder

TABLES = ("rollout", "record", "rollout_judgement", "step_summary", "span_distance")
"""The tables that have a column for each behaviour, or are read together with one that has."""
SQL_WORDS = """abort action add after all alter always analyze and as asc attach autoincrement before begin between by
cascade case cast check collate column commit conflict constraint create cross current current_date current_time
current_timestamp database default deferrable deferred delete desc detach distinct do drop each else end escape except
exclude exclusive exists explain fail false filter first following for foreign from full generated glob group groups
having if ignore immediate in index indexed initially inner insert instead intersect into is isnull join key last left
like limit match materialized natural no not nothing notnull null nulls of offset oid on or order others outer over
partition plan pragma preceding primary query raise range recursive references regexp reindex release rename replace
restrict returning right rollback row rowid rows savepoint select set table temp temporary then ties to transaction
trigger true unbounded union unique update using vacuum values view virtual when where window with within
without"""


def names_in_use(folder: Path) -> set[str]:
    """What the names of behaviours stand beside, from the index and the exports themselves."""
    connection = sqlite3.connect(":memory:")
    migrate(connection)
    columns = {row[1] for table in TABLES for row in connection.execute(f"PRAGMA table_info({table})")}
    made_of_behaviors = {name for name in columns if any(behavior in name for behavior in BEHAVIORS)}
    builder = Builder(folder)
    stage = builder.stage("ppo", "c1", {"condition": "none"})
    (written,) = builder.rollouts(stage, ["8"])
    builder.done(stage)
    with open_store(builder.workspace) as store:
        store.ingest()
        assert store.page(Query(), limit=2).rows
        exported = rollout_dict(next(iter(store.rollouts([written.id]))))
    named = {*FIELDS, *HAS, *COLUMN_NAMES, *SORT_FIELDS, *MEASURES, *exported}
    return (columns - made_of_behaviors) | (named - set(BEHAVIORS))


def is_column_name(word: str) -> bool:
    """Whether SQLite takes a word as the name of a column in the statements of the index."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(f"CREATE TABLE t (serial INTEGER PRIMARY KEY, {word} INTEGER, other INTEGER)")
        connection.execute(f"CREATE INDEX i ON t ({word}, serial)")
        connection.execute(f"INSERT OR REPLACE INTO t (serial, {word}, other) VALUES (1, 2, 3)")
        connection.execute(f"UPDATE t SET {word} = ?, other = ?", (5, 6))
        query = f"SELECT {word}, avg(o.{word}) FROM t o WHERE coalesce(o.{word}, 0) > 0 ORDER BY o.{word}"
        return connection.execute(query).fetchall() == [(5, 5.0)]
    except sqlite3.OperationalError:
        return False


def test_every_name_in_use_is_reserved_and_no_other(tmp_path: Path) -> None:
    used = names_in_use(tmp_path / "work")
    refused_by_sql = {word for word in SQL_WORDS.split() if not is_column_name(word)}
    assert "select" in refused_by_sql
    assert (used | refused_by_sql) - RESERVED_NAMES == set()
    assert RESERVED_NAMES - used - set(SQL_WORDS.split()) == set()
    assert not RESERVED_NAMES & set(FOUR_HABITS.names)


@pytest.mark.parametrize("name", ["reward", "step", "judge", "unaligned", "and", "select", "id", "accuracy"])
def test_a_set_with_a_reserved_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"the name of behaviour 3 is '{name}', which names something else"):
        read_set(folder_with(name, tmp_path))


@pytest.mark.parametrize("name", ["doubt__joy", "address_verification"])
def test_a_set_whose_columns_could_be_those_of_another_behaviour_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="must not contain __ or begin with address_"):
        read_set(folder_with(name, tmp_path))


def folder_with(name: str, folder: Path) -> Path:
    """Five moves of an explanation, the third of them renamed."""
    text = (Path(__file__).parents[1] / "plugins" / "five_moves" / "set.toml").read_text(encoding="utf-8")
    assert 'name = "hedging"' in text
    (folder / "set.toml").write_text(text.replace('name = "hedging"', f'name = "{name}"'), encoding="utf-8")
    return folder
