"""The table of value columns: each is in the index, in filters, sorts and histograms, in lists and in the docs."""

import json
import os
import re
import subprocess
import sys
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
from tests.plugins.installing import REPOSITORY, documented
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


WITH_THIS_TABLE = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("cogtui.store.columns", sys.argv[1])
sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
from cogtui.cli.main import run
run(sys.argv[2:])
"""


def test_the_documented_entry_adds_a_column(store: Store, lab: Lab) -> None:
    """Columns are settled at import, so a process of its own has one more; its index is rebuilt when it is opened."""
    folder = lab.stage("ppo", 3, {"condition": "none", "seed": 1})
    rollouts = make_rollouts(folder.key, [0])
    asking = [one.model_copy(update={"completion": "What? " * number}) for number, one in enumerate(rollouts)]
    write_rollouts(folder, asking)
    with store:
        total = store.count(Query()) + len(asking)
    ((path, entry),) = documented("traces.md", "Add a column").items()
    before, end, after = (REPOSITORY / path).read_text(encoding="utf-8").partition(")  # fmt: skip\nBY_NAME")
    table = lab.workspace.path.with_name("columns.py")
    table.write_text(f"{before}{entry},\n{end}{after}", encoding="utf-8")

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", WITH_THIS_TABLE, str(table), *arguments, "-w", str(lab.workspace.path)]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=dict(os.environ), capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = json.loads(run("rollouts", "questions>=2", "--sort", "-questions", "--limit", "100", "--json"))["data"]
    assert [row["questions"] for row in found] == list(range(len(asking) - 1, 1, -1))
    assert all(row["completion"].count("?") == row["questions"] for row in found)
    listed = run("rollouts", "--columns", "id,questions", "--limit", "100")
    assert re.search(r"\basks\b", listed)
    exported = [json.loads(line) for line in run("export", "--format", "jsonl").splitlines()]
    assert len(exported) == total
    assert {one["id"]: one["questions"] for one in exported} == {
        one["id"]: one["completion"].count("?") for one in exported
    }
    assert run("export", "--format", "csv").splitlines()[0].split(",").count("questions") == 1
