"""The whole walk by keys alone on a real run of `smoke`: start page to report, with every place asserted on data."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.walk import NOTE, Change, Walk
from cogtui.app.application import CogtuiApp
from cogtui.app.curves.screen import CurvesScreen
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.start_page import RecipeList
from cogtui.app.launch.screen import LaunchScreen
from cogtui.app.main import make_app
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store import open_store
from cogtui.store.filter.parser import parse
from cogtui.store.values.types import Query
from jobs.planning.experiments import load_experiments
from jobs.state.reader import stage_states
from jobs.workspace import Workspace
from tests.app.driving import notices, screen_text, started, visible_lines

pytestmark = [pytest.mark.slow, pytest.mark.train]

CHANGES = (Change("stages.base.pretraining.steps", "60"), Change("stages.ppo.steps", "6"))
"""Shorten the run; the recipe has 600 and 20."""
OPTIONS = "--set stages.base.pretraining.steps=60 --set stages.ppo.steps=6"
PRIMED = "backtracking_verification"


class Places:
    """Asserts at each place of the walk what is known there, and counts the places."""

    def __init__(self, app: CogtuiApp, workspace: Workspace) -> None:
        self.app = app
        self.workspace = workspace
        self.names: list[str] = []
        self.rollout = ""

    def seen(self, name: str, _: str) -> None:
        self.names.append(name)
        check: Callable[[], None] | None = getattr(self, f"at_{name}", None)
        if check is not None:
            check()

    def at_start(self) -> None:
        assert visible_lines(self.app.screen.query_one(RecipeList))[0].split()[0] == "smoke"
        assert not self.workspace.path.exists()

    def at_changed(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, LaunchScreen)
        assert dict(screen.draft.changes) == {change.field: change.value for change in CHANGES}
        assert f"cogtui run smoke {OPTIONS}" in screen.query_one("#command", TextRows).text
        assert not self.workspace.path.exists()

    def at_matrix(self) -> None:
        lines = visible_lines(self.app.screen.query_one(MatrixView))
        assert [line.split()[0] for line in lines] == ["none", PRIMED]
        assert "◐" in lines[0]
        (experiment,) = load_experiments(self.workspace)
        assert experiment.overrides == tuple(f"{change.field}={change.value}" for change in CHANGES)

    def at_log(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, LogScreen)
        assert screen.key.startswith("base-")
        assert screen.file is not None
        assert screen.file.path.is_relative_to(self.workspace.folder(screen.key).path)

    def at_done(self) -> None:
        assert {state.state for state in stage_states(self.workspace).values()} == {"done"}
        accuracies = [
            json.loads((self.workspace.folder(cell.stages["ppo"]).path / "result.json").read_text())["accuracy_after"]
            for cell in load_experiments(self.workspace)[0].cells
        ]
        lines = visible_lines(self.app.screen.query_one(MatrixView))
        for line, accuracy in zip(lines, accuracies, strict=True):
            assert f"{accuracy:.3f}".lstrip("0") in line

    def at_curves(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, CurvesScreen)
        assert screen.experiments == ("smoke",)
        first = screen.grid.charts[0]
        assert {line.letter: line.name for line in first.lines} == {"a": "none", "b": PRIMED}
        assert [[point.step for point in line.curve.points] for line in first.lines] == [[0, 6], [0, 6]]
        assert "one seed: no interval" in screen.query_one("#summary", TextRows).text

    def at_point(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, CurvesScreen)
        assert (screen.chosen, screen.step) == (PRIMED, 0)

    def at_rollouts(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, TracesScreen)
        assert screen.total == 48
        assert f"{PRIMED}, step 0" in screen.path

    def at_trace(self) -> None:
        screen = self.app.screen
        assert isinstance(screen, TraceScreen)
        assert screen.rollout_here is not None
        assert (screen.rollout_here.condition, screen.rollout_here.step) == (PRIMED, 0)
        self.rollout = screen.rollout_here.id

    def at_compare(self) -> None:
        text = screen_text(self.app)
        with open_store(self.workspace) as store:
            assert store.rollout(self.rollout).note == NOTE
            assert store.count(Query(parse("has:note"))) == 1
        assert "primed ends above unprimed" in text
        assert f"{PRIMED} − none, accuracy at the end" in " ".join(text.split())

    def at_report(self) -> None:
        folder = Path("smoke-report")
        page = (folder / "report.html").read_text()
        assert "the whole chain at work" in page
        assert "drawn at random (seed 0) from those of none" in page
        assert "Chosen from 96 completions of test problems" in page
        assert f"cogtui run smoke {OPTIONS}" in (folder / "report.md").read_text()
        assert notices(self.app)[-1] == f"written: {folder / 'report.html'}\nwritten: {folder / 'report.md'}"


async def test_from_an_empty_folder_to_a_report_by_keys_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COGTUI_WORKSPACE", raising=False)
    workspace = Workspace.locate()
    app = make_app(workspace)
    async with started(app, (120, 36)) as pilot:
        places = Places(app, workspace)
        walk = Walk(app, pilot, places.seen)
        await walk.launch(CHANGES)
        await walk.watch()
        await walk.read()
        await walk.conclude()
    assert places.names == [
        "start", "launch", "changed", "matrix", "log", "training", "done", "curves", "point", "rollouts", "trace",
        "note", "compare", "folder", "report",
    ]  # fmt: skip
    asserted = {name.removeprefix("at_") for name in dir(Places) if name.startswith("at_")}
    assert asserted <= set(places.names)
