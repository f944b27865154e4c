"""The launch screen of the app on a real Slurm: the stages finish in the matrix, and a refusal is quoted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Input

from benchmarks.walk import Change, Walk
from cogtui.app.application import CogtuiApp
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.launch.form_view import FormView
from cogtui.app.launch.screen import LaunchScreen
from cogtui.app.main import make_app
from cogtui.app.shell.opening import OpenLaunch
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.text_rows import TextRows
from jobs.state.reader import stage_states
from jobs.workspace import Workspace
from tests.app.driving import AppPilot, press, running, settle, started, top, until, visible_lines
from tests.jobs.on_slurm.labs import lab_on

pytestmark = pytest.mark.slurm

RECIPE = """\
name = "on-slurm"
seeds = [1]

[matrix]
condition = ["none", "dots"]

[stages.problems]
kind = "problems"
train = 10
test = 4
sizes = [2]
number_range = [1, 6]

[stages.data]
kind = "priming_data"
needs = ["problems"]
skip = { condition = ["none"] }
condition = "all_strategies"
seed = "{seed}"
n = 6
"""


@pytest.fixture
def workspace(plain: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace that does not exist yet, on a cluster."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COGTUI_WORKSPACE", raising=False)
    monkeypatch.setenv("COGTUI_CONFIG", str(tmp_path / "config"))
    for _ in lab_on(plain, tmp_path, monkeypatch):
        yield Workspace.locate()


async def opened(app: CogtuiApp, pilot: AppPilot, folder: Path) -> LaunchScreen:
    """The launch screen on the recipe, with the cluster chosen."""
    recipe = folder / "on-slurm.toml"
    recipe.write_text(RECIPE)
    assert isinstance(app.screen, ExperimentsScreen)
    app.screen.post_message(OpenLaunch(app.screen, recipe))
    await settle(pilot)
    await go_to(pilot, top(app, LaunchScreen), "cluster")
    await press(pilot, "right")
    return top(app, LaunchScreen)


async def go_to(pilot: AppPilot, screen: LaunchScreen, name: str) -> None:
    """Moves the cursor to a field."""
    form = screen.query_one(FormView)
    await press(pilot, "home")
    for _ in range(form.line_count):
        if form.field is not None and form.field.name == name:
            return
        await press(pilot, "down")
    raise AssertionError(f"there is no field {name}")


@pytest.mark.slow
@pytest.mark.train
async def test_the_walk_launches_smoke_on_slurm_and_sees_it_end_in_the_matrix(workspace: Workspace) -> None:
    changes = [
        Change("cluster", "slurm"),
        Change("stages.base.pretraining.steps", "60"),
        Change("stages.ppo.steps", "6"),
    ]
    shown: dict[str, list[str]] = {}
    app = make_app(workspace)

    def seen(name: str, _: str) -> None:
        if name == "changed":
            shown[name] = [
                app.screen.query_one("#command", TextRows).text,
                app.screen.query_one("#plan", DetailPane).text,
            ]
        elif app.screen.query(MatrixView):
            shown[name] = visible_lines(app.screen.query_one(MatrixView))

    async with started(app, (140, 40)) as pilot:
        walk = Walk(app, pilot, seen)
        await walk.launch(changes)
        await walk.watch()
    command, plan = shown["changed"]
    options = "--set stages.base.pretraining.steps=60 --set stages.ppo.steps=6 --cluster slurm"
    assert f"cogtui run smoke {options}" in command
    assert "nodes idle" in plan
    assert "running" in shown["matrix"][0]
    assert [line.count("✓") for line in shown["done"]] == [5, 7]
    states = stage_states(workspace).values()
    assert [state.state for state in states] == ["done"] * 10
    assert all(attempt.cluster == "slurm" and attempt.job_id for state in states for attempt in state.attempts)


async def test_refusals_are_quoted_whole_and_the_same_stages_can_be_started_again(
    workspace: Workspace, tmp_path: Path
) -> None:
    async with running(workspace, size=(120, 40)) as (app, pilot):
        screen = await opened(app, pilot, tmp_path)

        def plan() -> str:
            return " ".join(screen.query_one("#plan", DetailPane).text.split())

        await go_to(pilot, screen, "resources.default.partition")
        await press(pilot, "enter")
        app.screen.query_one(Input).value = "nowhere"
        await press(pilot, "enter", "ctrl+l")
        await until(pilot, lambda: "Not launched" in plan())
        assert "Slurm has no partition nowhere" in plan()  # known before anything is submitted
        assert "high, main" in plan() or "main, high" in plan()
        assert not any(state.attempts for state in stage_states(workspace).values())
        await press(pilot, "r")
        # what only Slurm knows
        recipe = tmp_path / "on-slurm.toml"
        recipe.write_text(RECIPE + '[resources.default]\nsbatch = { constraint = "nowhere" }\n')
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: "changed while the form was open" in plan())
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: "Invalid feature specification" in plan())
        assert "sbatch: error: Batch job submission failed: Invalid feature specification" in plan()
        assert any("Invalid feature" in state.reason for state in stage_states(workspace).values())
        recipe.write_text(RECIPE)
        await go_to(pilot, screen, "retry")
        await press(pilot, "right", "ctrl+l")  # the choice reads the recipe again
        await until(pilot, lambda: isinstance(app.screen, ExperimentsScreen))
        assert all(attempt.job_id for state in stage_states(workspace).values() for attempt in state.attempts[-1:])
