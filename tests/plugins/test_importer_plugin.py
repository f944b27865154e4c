"""An importer of another package: recognised, imported, opened, filtered, shown by the app and exported."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogtui.app.main import make_app
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.cli.jobs.doctor import all_findings
from cogtui.cli.rollouts.import_ import finish
from cogtui.store import Query, open_store
from cogtui.store.export.selection import ExportSelection
from cogtui.store.export.tables import write_jsonl
from cogtui.store.filter.parser import parse
from cogtui.store.importing.opening import open_files
from cogtui.store.importing.plan import plan_import
from cogtui.store.importing.registry import IMPORTERS
from cogtui.store.importing.run import run_import
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from tests.app.driving import started, until
from tests.plugins.installing import documented, importable_here, install, install_documented

ROWS: list[dict[str, Any]] = [
    {"ask": "2 + 2?", "update": 3, "tries": [{"text": "It is 4.", "points": 1.0}, {"text": "Or 5?", "points": 0.0}]},
    {"ask": "3 + 3?", "update": 3, "tries": []},
    {"ask": "4 + 4?", "update": 4, "tries": "eight"},
    {"ask": "5 + 5?", "update": 4, "tries": [{"text": "no points"}]},
    {"ask": "6 + 6?", "update": 4, "tries": [{"text": "Twelve, I think.", "points": 0.5}]},
]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The outside package on this process's path, with entry points that cannot be used beside the good one."""
    site = tmp_path / "site"
    points = (
        "several = outside_importer:IMPORTER\nbare = outside_importer:BadRowError\n"
        "verl = outside_importer:IMPORTER\nabsent = outside_importer:NOTHING\n"
    )
    source = Path(__file__).with_name("several_answers.py")
    install(site, "outside-importer", {"cogtui.importers": points}, {"outside_importer.py": source})
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("COGTUI_CACHE", str(tmp_path / "cache"))
    with importable_here(site, IMPORTERS):
        yield tmp_path


@pytest.fixture
def log(outside: Path) -> Path:
    path = outside / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_it_is_chosen_by_content_and_its_rows_hold_several_rollouts(log: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    plan = plan_import([log])
    assert plan.lines() == ["answers.jsonl: format several, a log of several answers per question"]
    state = finish(run_import(plan, workspace))
    assert (state.rows, state.bad) == (3, 3)
    assert state.files[0].named == [
        "line 2: no rollout in this row",
        "line 3: no list of answers in tries",
        "line 4: the importer several failed: KeyError: 'points'",
    ]
    assert finish(run_import(plan, workspace)).rows == 3  # again: nothing is written twice
    with open_store(workspace) as store:
        store.ingest()
        rows = store.page(Query()).rows
        assert [(row.step, row.split, row.sample, row.reward, row.correct) for row in rows] == [
            (3, "test", 0, 1.0, True),
            (3, "test", 1, 0.0, False),
            (4, "test", 0, 0.5, False),
        ]
        assert store.count(Query(parse("correct:true text:4"))) == 1
        exported = tmp_path / "exported.jsonl"
        with exported.open("w") as stream:
            assert write_jsonl(ExportSelection(store, Query(parse("reward>0"))), stream) == 2
        texts = [json.loads(line)["completion"] for line in exported.read_text().splitlines()]
        assert texts == ["It is 4.", "Twelve, I think."]


async def test_it_is_opened_in_the_app_like_any_file(log: Path) -> None:
    opened = open_files([log])
    app = make_app(opened.workspace, browse_only=True, opener=opened.store, file_import=opened)
    async with started(app) as pilot:
        screen = app.screen
        assert isinstance(screen, TracesScreen)
        await until(pilot, lambda: screen.total == 3 and opened.unreadable()[0] == 3)
    opened.cancel()
    assert opened.unreadable() == (3, "answers.jsonl: line 2: no rollout in this row")


def test_fixed_fields_take_no_map_and_unknown_formats_are_named(log: Path) -> None:
    with pytest.raises(InvalidInput, match="whose fields are fixed"):
        plan_import([log], mapping={"completion": "tries"})
    with pytest.raises(InvalidInput, match="there is no import format 'severl'") as caught:
        plan_import([log], chosen="severl")
    assert "Did you mean several?" in caught.value.remedy
    with pytest.raises(InvalidInput, match="no column looks like a completion"):
        plan_import([log], chosen="plain")


def test_doctor_names_the_plug_ins_that_were_skipped(outside: Path, tmp_path: Path) -> None:
    found = {one.name: one for one in all_findings(Workspace(tmp_path / "workspace")) if one.area == "plug-ins"}
    assert found["several"].status == "ok"
    for name, reason in {"verl": "built in", "absent": "NOTHING", "bare": "it has no name"}.items():
        assert found[name].status == "problem"
        assert reason in found[name].detail
        assert found[name].degrades == "it is not used; nothing else is affected"


def test_the_documented_importer_works(tmp_path: Path) -> None:
    files = documented("traces.md", "Add an importer")
    assert set(files) == {"rated_answers.py", "pyproject.toml"}
    install_documented(tmp_path / "site", files)
    log = tmp_path / "rated.jsonl"
    answers = [{"text": "It is 4.", "stars": 5}, {"text": "Or 5?", "stars": 1}]
    rows = [{"question": "2 + 2?", "answers": answers}, {"question": "3 + 3?", "answers": "six"}]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with importable_here(tmp_path / "site", IMPORTERS):
        plan = plan_import([log])
        assert plan.lines() == ["rated.jsonl: format rated, rated answers"]
        workspace = Workspace(tmp_path / "workspace")
        state = finish(run_import(plan, workspace))
    assert (state.rows, state.bad) == (2, 1)
    assert state.files[0].named == ["line 2: no list of answers"]
    with open_store(workspace) as store:
        store.ingest()
        assert [(row.sample, row.reward) for row in store.page(Query()).rows] == [(0, 1.0), (1, 0.2)]
