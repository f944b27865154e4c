"""Documents in the index, on the command line and in the app's trace browser, with what shows in them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.cli.main import app as cli
from cogtui.store.values.types import DOCUMENT_SPLIT
from jobs.workspace import Workspace
from pipelines.corpus.classify.chunks import SPLIT
from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from tests.app.driving import press, running, screen_text, visible_lines
from tests.corpus.lab import PLAIN, RICH, distinct, jsonl

HOSTILE = {
    "text": "[bold]Let me double-check[/] this \x1b[31mtext\x1b[0m. \u202e Wait, let me verify it is harmless. \ud83d"
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    records = [*distinct(RICH, 5), *distinct(PLAIN, 4), HOSTILE]
    path = jsonl(tmp_path / "a.jsonl", records)
    found = Workspace(tmp_path / "ws")
    found.stages.mkdir(parents=True)
    folder = prepare("classify", {"documents": [str(path)], "chunk": 4}, tmp_path / "out", [], base=tmp_path)
    folder.path.rename(found.stages / folder.key)
    run_stage(StageFolder(next(found.stages.iterdir())))
    return found


def ask(workspace: Workspace, *arguments: str) -> Any:
    done = CliRunner().invoke(cli, [*arguments, "--json", "--workspace", str(workspace.path)])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["data"]


def test_the_names_of_the_split_agree() -> None:
    assert DOCUMENT_SPLIT == SPLIT


def test_ten_documents_are_listed_filtered_and_opened(workspace: Workspace) -> None:
    rows = ask(workspace, "rollouts", "--limit", "50")
    assert len(rows) == 10
    assert {row["split"] for row in rows} == {"document"}
    assert all(row["reward"] is None and row["numbers"] == [] and row["n_tokens"] is None for row in rows)
    assert len(ask(workspace, "rollouts", "backtracking>=1")) == 5
    assert len(ask(workspace, "rollouts", "verification>=1 text:harmless")) == 1
    stored = {record.id: record for record in read_rollouts(next(workspace.stages.iterdir()))}
    for row in rows:
        trace = ask(workspace, "trace", row["id"])
        text = trace["completion"]
        assert text == stored[row["id"]].completion
        for judgement in trace["judgements"]:
            assert judgement["status"] == "ok"
            assert len(judgement["spans"]) == judgement["count"]
            assert all(text[span["start"] : span["end"]] == span["quote"] for span in judgement["spans"])


def test_a_document_reads_well_and_harmlessly(workspace: Workspace) -> None:
    (row,) = ask(workspace, "rollouts", "text:harmless")
    shown = CliRunner().invoke(cli, ["trace", row["id"], "--workspace", str(workspace.path)])
    assert shown.exit_code == 0
    assert ": document\n" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "\u202e" not in shown.stdout
    listed = CliRunner().invoke(cli, ["rollouts", "--workspace", str(workspace.path)])
    assert "> 0" not in listed.stdout


def test_show_tells_how_many_have_what(workspace: Workspace) -> None:
    key = next(workspace.stages.iterdir()).name
    write_json(workspace.stages / key / "progress.json", {"done": 1, "total": 1, "unit": "documents", "time": 0})
    shown = CliRunner().invoke(cli, ["show", key, "--workspace", str(workspace.path)])
    assert shown.exit_code == 0
    assert "summary" in shown.stdout
    assert "share of documents" in shown.stdout


async def test_the_app_opens_a_document_from_mode_3(workspace: Workspace) -> None:
    async with running(workspace, (120, 30)) as (app, pilot):
        await press(pilot, "3")
        view = app.screen.query_one(RolloutList)
        assert len(view.rollouts) == 10
        assert all("document" in line for line in visible_lines(view))
        place = next(index for index, row in enumerate(view.rollouts) if (row.counts[1] or 0) > 0)
        for _ in range(place):
            await pilot.press("down")
        await press(pilot, "enter")
        assert isinstance(app.screen, TraceScreen)
        text = screen_text(app)
        assert "document" in text
        assert "backtracking" in text
        assert "First, I need to find the roots" in text
        assert "→ 0" not in text
