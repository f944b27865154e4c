"""A phrase looked for in a text is found exactly where the word index finds it."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogtui.store.db.fts_index import fts_statements
from cogtui.store.filter.ast import TextPhrase
from cogtui.store.ingest.parse import searchable
from cogtui.store.query.filter_sql import match_expression
from cogtui.store.query.phrases import _pattern, are_matchable, contains_phrase


@pytest.fixture(scope="module")
def words() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for statement in fts_statements("main"):
        connection.execute(statement)
    yield connection
    connection.close()


PIECES = st.sampled_from(
    ["try", "Try", "tr", "y", "a1", "1", "A", " ", "-", "_", "\n", "\x00", "\x1f", "'", '"', "*", "."]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(st.characters(max_codepoint=127), max_size=20)),
    wanted=st.lists(PIECES, min_size=1, max_size=4).map("".join),
    prefix=st.booleans(),
)
def test_both_find_the_same(words: sqlite3.Connection, text: str, wanted: str, prefix: bool) -> None:
    phrase = TextPhrase(wanted, prefix)
    if not are_matchable([phrase]):
        return
    words.execute("BEGIN")
    words.execute("INSERT INTO completion_fts (rowid, completion) VALUES (1, ?)", (searchable(text),))
    found = words.execute(
        "SELECT 1 FROM completion_fts WHERE completion_fts MATCH ?", (match_expression(phrase),)
    ).fetchone()
    words.execute("ROLLBACK")
    assert contains_phrase(text.lower(), _pattern(phrase), prefix=prefix) == (found is not None)


def test_what_only_the_index_knows_is_left_to_it() -> None:
    assert not are_matchable([TextPhrase("tröt", prefix=False)])
    assert not are_matchable([TextPhrase("...", prefix=False)])
    assert not are_matchable([TextPhrase("try", prefix=False), TextPhrase("é", prefix=False)])
    assert are_matchable([TextPhrase("try a different", prefix=True)])
