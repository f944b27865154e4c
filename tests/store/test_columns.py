"""The table of value columns: each is in the index, in filters, sorts and histograms, in lists and in the docs."""

import re
from pathlib import Path

import pytest

from cogtui.app.rollout.rollout_columns import EVERY_COLUMN, rollout_cells
from cogtui.app.traces.list.histogram_screen import FIELDS as HISTOGRAM_FIELDS
from cogtui.store import Query, Sort, Store, open_store
from cogtui.store.columns import VALUE_COLUMNS, ValueColumn
from cogtui.store.filter.ast import FIELDS
from cogtui.store.filter.parser import parse
from cogtui.store.values.fields import TEXTS
from cogtui.store.values.types import SORT_FIELDS
from tests.store.lab import Lab, judge, make_rollouts, write_judgements, write_rollouts

PAGE = (Path(__file__).parents[2] / "docs" / "traces.md").read_text(encoding="utf-8")
EXAMPLES = {"number": "{}>=0", "truth": "{}:true", "choice": "{}:stop"}


@pytest.fixture
def store(lab: Lab) -> Store:
    folder = lab.stage("ppo", 1, {"condition": "none", "seed": 1})
    rollouts = make_rollouts(folder.key, [0, 1])
    write_rollouts(folder, rollouts)
    write_judgements(lab.judge_stage(2), [line for rollout in rollouts for line in judge(rollout)])
    store = open_store(lab.workspace)
    store.ingest()
    return store


@pytest.mark.parametrize("column", VALUE_COLUMNS, ids=lambda column: column.name)
def test_a_column_is_everywhere(store: Store, column: ValueColumn) -> None:
    with store:
        rows = store.page(Query(parse(EXAMPLES[column.kind].format(column.name))), limit=100).rows
        assert rows
        assert FIELDS[column.name] == (column.kind, column.description)
        assert (column.name in SORT_FIELDS) == column.sortable
        if column.sortable:
            in_order = store.page(Query(sort=Sort(column.name)), limit=100).rows
            assert len(in_order) == store.count(Query())
            assert sum(one.count for one in store.histogram(Query(), column.name).bins) > 0
            assert column.name in HISTOGRAM_FIELDS
        if column.title:
            _, right, text = TEXTS[column.name]
            assert right == (column.kind == "number")
            assert all(text(row) for row in rows)
            assert column.name in EVERY_COLUMN
            assert column.name in rollout_cells(rows[0])
    assert re.search(rf"\b{column.name}\b", PAGE)


def test_no_two_columns_share_a_name_or_a_place_in_the_index() -> None:
    for names in ([column.name for column in VALUE_COLUMNS], [column.column for column in VALUE_COLUMNS]):
        assert len(set(names)) == len(names)
