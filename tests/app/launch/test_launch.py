"""From an empty folder to a running matrix by keys alone, and everything that may go wrong on the way."""

import os
from pathlib import Path

import pytest
from textual.widgets import Input

from cogtui.app.application import CogtuiApp
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.experiments.start_page import RecipeList
from cogtui.app.launch.form_view import FormView
from cogtui.app.launch.screen import LaunchScreen
from cogtui.app.launch.scripts_screen import ScriptsScreen
from cogtui.app.shell.dialogs import ChoiceScreen
from cogtui.app.shell.opening import OpenLaunch
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.text_rows import TextRows
from jobs.planning.experiments import load_experiments
from jobs.state.reader import stage_states
from jobs.workspace import Workspace
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, press, running, screen_text, settle, top, until, visible_lines

RECIPE = """\
# takes: 2 s on two cores
name = "light"
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
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "light.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace that does not exist yet, the default one of the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COGTUI_WORKSPACE", raising=False)
    return Workspace.locate()


async def opened(app: CogtuiApp, pilot: AppPilot, recipe: Path) -> LaunchScreen:
    """The launch screen on a recipe, with its plan made."""
    app.screen.post_message(OpenLaunch(app.screen, recipe))  # type: ignore[arg-type]
    await settle(pilot)
    return top(app, LaunchScreen)


async def go_to(pilot: AppPilot, screen: LaunchScreen, name: str) -> None:
    """Moves the cursor to a field."""
    form = screen.query_one(FormView)
    for _ in range(form.line_count):
        if form.field is not None and form.field.name == name:
            return
        await press(pilot, "down")
    raise AssertionError(f"there is no field {name}")


async def enter(pilot: AppPilot, text: str) -> None:
    """Edits the field under the cursor."""
    await press(pilot, "enter")
    pilot.app.screen.query_one(Input).value = text
    await settle(pilot)


def plan_text(screen: LaunchScreen) -> str:
    return " ".join(screen.query_one("#plan", DetailPane).text.split())


async def test_an_empty_workspace_shows_recipes_and_enter_sets_one_up(empty: Workspace) -> None:
    async with running(empty, size=(80, 24)) as (app, pilot):
        await settle(pilot)
        recipes = visible_lines(app.screen.query_one(RecipeList))
        assert recipes[0].split()[0] == "smoke"
        assert recipes[0].rstrip().endswith("90 s")
        assert "cogtui run RECIPE" in screen_text(app)
        assert "cores" in screen_text(app) or "core," in screen_text(app)
        assert not app.screen.query(MatrixView)
        await press(pilot, "enter", "w")
        screen = top(app, LaunchScreen)
        assert screen.draft.recipe.name == "smoke.toml"
        assert "10 to run" in plan_text(screen)
        assert "90 s on two cores" in plan_text(screen)
        await press(pilot, "escape")
        assert isinstance(app.screen, ExperimentsScreen)
        assert not empty.path.exists()  # looking writes nothing


async def test_the_start_page_offers_what_works_there(empty: Workspace) -> None:
    async with running(empty, size=(120, 36)) as (app, pilot):
        await settle(pilot)
        shown = {active.binding.description for active in app.screen.active_bindings.values() if active.enabled}
        assert {"Set up and launch", "Open a file", "Showcase", "Launch"} <= shown
        assert not shown & {"Log", "Cancel", "Clone with changes"}
        await press(pilot, "s")  # a terminal under test cannot be handed over
        assert any("Run: cogtui showcase" in notice for notice in notices(app))
        await press(pilot, "o")
        app.screen.query_one(Input).value = str(empty.path / "nowhere.jsonl")
        await press(pilot, "enter")
        assert "there is no file" in screen_text(app)


async def test_one_changed_parameter_launch_and_the_matrix_moves_to_done(empty: Workspace, recipe: Path) -> None:
    async with running(empty, size=(80, 24)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        await go_to(pilot, screen, "stages.data.n")
        await enter(pilot, "3")
        await press(pilot, "enter")
        assert "cogtui run light.toml --set stages.data.n=3 --detach" in screen.query_one("#command", TextRows).text
        assert any("recipe: 6" in line for line in visible_lines(screen.query_one(FormView)))
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, ExperimentsScreen) and not app.screen.has_class("-empty"))
        view = app.screen.query_one(MatrixView)
        assert view.display
        assert app.screen.focused is view
        await until(pilot, lambda: all("planned" not in line for line in visible_lines(view)))
        await until(pilot, lambda: [line.split().count("done") for line in visible_lines(view)] == [1, 2])
        assert any("launched light: 2 stages started" in notice for notice in notices(app))
        (experiment,) = load_experiments(empty)
        assert experiment.overrides == ("stages.data.n=3",)
        # the same again: everything is there, and nothing is started twice
        await press(pilot, "C")
        again = top(app, LaunchScreen)
        assert dict(again.draft.changes) == {"stages.data.n": "3"}
        assert "2 reused" in plan_text(again)
        assert "a launch starts nothing" in plan_text(again)
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: any("everything is there" in notice for notice in notices(app)))
        assert all(len(state.attempts) == 1 for state in stage_states(empty).values())
        # a change names the fields that differ; its estimate comes from finished stages
        await press(pilot, "C")
        again = top(app, LaunchScreen)
        await go_to(pilot, again, "stages.data.n")
        await enter(pilot, "4")
        await press(pilot, "enter", "w")
        assert "n is 4, there 3" in plan_text(again)
        assert "by 1 finished stage" in plan_text(again)


async def test_a_wrong_value_is_told_while_it_is_typed_and_cannot_be_launched(empty: Workspace, recipe: Path) -> None:
    async with running(empty, size=(120, 36)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        await go_to(pilot, screen, "stages.data.n")
        await enter(pilot, "-1")
        assert "greater than or equal to 1" in screen.query_one("#field-help", DetailPane).text
        assert "1 wrong" in str(screen.query_one("#form-panel").border_subtitle)
        await press(pilot, "enter", "ctrl+l")
        assert top(app, LaunchScreen) is screen
        assert not empty.path.exists()
        await press(pilot, "r")
        assert not screen.problems
        await enter(pilot, "7")
        await press(pilot, "escape")  # keeps the old value
        assert dict(screen.draft.changes) == {}
        assert screen.preview is not None


async def test_choices_go_by_arrows_and_all_fields_by_a(empty: Workspace, recipe: Path) -> None:
    async with running(empty, size=(120, 36)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        count = screen.query_one(FormView).line_count
        await press(pilot, "a")
        assert screen.query_one(FormView).line_count > count + 20
        await go_to(pilot, screen, "cluster")
        await press(pilot, "right")
        assert screen.draft.cluster == "slurm"
        assert "--cluster slurm" in screen.query_one("#command", TextRows).text
        await press(pilot, "left", "S")
        scripts = top(app, ScriptsScreen)
        assert [title for title, _ in scripts.scripts] == ["problems", "data seed=1"]
        assert "-m pipelines" in scripts.scripts[0][1]


async def test_a_recipe_that_changes_breaks_or_goes_under_the_form(empty: Workspace, recipe: Path) -> None:
    async with running(empty, size=(120, 36)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        recipe.write_text(RECIPE.replace("n = 6", "n = 8"))
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: "changed while the form was open" in plan_text(screen))
        assert not (empty.path / "experiments").exists()
        await go_to(pilot, screen, "stages.data.n")
        assert screen.query_one(FormView).field.recipe == "8"  # type: ignore[union-attr]
        recipe.write_text("name = [broken")
        await enter(pilot, "2")
        assert "not valid TOML" in plan_text(screen)
        recipe.unlink()
        await press(pilot, "enter", "r")
        assert "cannot read" in plan_text(screen)
        await press(pilot, "ctrl+l")
        assert top(app, LaunchScreen) is screen


async def test_an_unwritable_workspace_refuses_and_keeps_the_form(tmp_path: Path, recipe: Path) -> None:
    (tmp_path / "file").write_text("")
    async with running(Workspace(tmp_path / "file" / "ws"), size=(80, 24)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: "Not launched" in plan_text(screen))
        assert "cannot be written" in plan_text(screen)
        assert screen.query_one("#plan").display  # also where only one pane has room


async def test_a_cluster_that_refuses_is_quoted_whole(
    empty: Workspace, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    said = "\n".join(f"sbatch: error: reason {number} of the site's job filter" for number in range(9))
    for name, text in (
        ("squeue", ":"), ("sacct", ":"),
        ("sinfo", "printf 'gpu*|up|2-00:00:00|1/3/0/4|gpu:h200:8\\nold|down|1:00:00|0/0/2/2|(null)\\n'"),
        ("sbatch", f"cat >&2 <<'END'\n{said}\nsbatch: error: Invalid account\nEND\nexit 1"),
    ):  # fmt: skip
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    async with running(empty, size=(120, 40)) as (app, pilot):
        screen = await opened(app, pilot, recipe)
        assert "gpu (default): 3 of 4 nodes idle, limit 2-00:00:00, gpu:h200:8" in plan_text(screen)
        assert "old: 0 of 2 nodes idle, limit 1:00:00, down" in plan_text(screen)
        await go_to(pilot, screen, "cluster")
        await press(pilot, "right", "S")
        assert "#SBATCH" in top(app, ScriptsScreen).scripts[0][1]
        await press(pilot, "escape", "ctrl+l")
        await until(pilot, lambda: "Not launched" in plan_text(screen))
        assert "Invalid account" in plan_text(screen)
        assert all(f"reason {number} of" in plan_text(screen) for number in range(9))
        # corrected on the cluster's side: the same stages are started again with retry
        (commands / "sbatch").write_text("#!/bin/sh\necho 'Submitted batch job 77'\n")
        await go_to(pilot, screen, "retry")
        assert "failed or cancelled before" in plan_text(screen)
        await press(pilot, "right")
        assert "--cluster slurm --retry" in screen.query_one("#command", TextRows).text
        await press(pilot, "ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, ExperimentsScreen))
        assert {attempt.job_id for state in stage_states(empty).values() for attempt in state.attempts[-1:]} == {"77"}


async def test_n_offers_bundled_recipes_those_run_here_and_clones(builder: Builder, recipe: Path) -> None:
    stage = builder.stage("problems", "a1")
    from jobs.planning.cell import Cell

    builder.experiment("old", [Cell(labels={"seed": 1}, stages={"problems": stage.key})])
    async with running(builder.workspace, size=(80, 24)) as (app, pilot):
        await press(pilot, "2", "N")
        labels = top(app, ChoiceScreen).choices
        assert any(label.startswith("smoke") for label in labels)
        assert "clone of old, with its changes" in labels
        assert labels[-1] == "a file …"
        await press(pilot, "end", "enter")
        app.screen.query_one(Input).value = str(recipe)
        await press(pilot, "enter")
        assert top(app, LaunchScreen).draft.recipe == recipe
        commands = [command.title for command in app.get_system_commands(app.screen)]
        assert "New experiment: run or launch a recipe" in commands


async def test_a_clone_of_a_recipe_that_changed_starts_from_its_snapshot(builder: Builder, recipe: Path) -> None:
    from jobs.planning.experiments import record_experiment
    from jobs.planning.plan import make_plan
    from jobs.recipe.load import load_recipe

    record_experiment(make_plan(load_recipe(recipe, ["stages.data.n=5"]), builder.workspace), builder.workspace)
    recipe.write_text(RECIPE.replace("n = 6", "n = 9"))
    async with running(builder.workspace, size=(120, 36)) as (app, pilot):
        await press(pilot, "C")
        screen = top(app, LaunchScreen)
        assert screen.draft.recipe.read_text() == RECIPE
        assert dict(screen.draft.changes) == {"stages.data.n": "5"}
        assert any("snapshot" in notice for notice in notices(app))


async def test_tiny_and_huge_terminals(empty: Workspace, recipe: Path) -> None:
    async with running(empty, size=(80, 24)) as (app, pilot):
        for size in ((20, 5), (40, 12), (250, 70), (80, 24)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
        screen = await opened(app, pilot, recipe)
        for size in ((20, 5), (40, 12), (250, 70), (20, 5), (80, 24)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
            await press(pilot, "w", "down", "w")
        assert top(app, LaunchScreen) is screen
