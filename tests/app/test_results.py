"""Compare in the app: tables, claims, and the differences of two experiments and of two runs."""

from pathlib import Path

import pytest
from textual.widgets import Input

from cogtui.app.annotation.screen import AnnotateScreen
from cogtui.app.experiments.accuracy_chart import AccuracyChart
from cogtui.app.experiments.results_screen import ResultsScreen
from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.store.user_data.annotations import latest_annotations
from jobs.planning.cell import Cell
from pipelines.records import Metric
from tests.analysis.gold_lab import annotate, write_texts
from tests.analysis.test_gold_correction import NOT_SEEN
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import notices, press, running, screen_text, top, until


def evaluated(builder: Builder, name: str, digit: str, steps: int, moment: float) -> None:
    """An experiment of two conditions and two seeds with evaluations before and after."""
    cells = []
    for place, condition in enumerate(("none", "all_strategies")):
        for seed in (1, 2):
            labels = {"condition": condition, "seed": seed}
            config = {"steps": steps, "optimizer": {"learning_rate": 1e-4}, "seed": seed}
            folder = builder.stage("ppo", f"{digit}{place}{seed}", labels, config=config)
            with folder.stream("metrics", "eval") as writer:
                values = [(0, 0.1), (steps, 0.2 + 0.3 * place + seed / 1000)]
                writer.append(Metric(step=step, values={"accuracy": value, "n": 100.0}) for step, value in values)
            builder.done(folder)
            cells.append(Cell(labels=labels, stages={"ppo": folder.key}))
    builder.experiment(name, cells, moment)


async def test_tables_and_claims_are_those_of_compare(builder: Builder) -> None:
    evaluated(builder, "mini", "a", 40, MOMENT)
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        await press(pilot, "c")
        screen = top(app, ResultsScreen)
        pane = screen.query_one(DetailPane)
        await until(pilot, lambda: "primed ends above unprimed: holds" in pane.text)
        assert "accuracy on the test problems" in pane.text
        assert "all_strategies" in pane.text
        await press(pilot, "d")
        assert "there is no other experiment in this workspace" in notices(app)[-1]
        await press(pilot, "escape")
        assert not isinstance(app.screen, ResultsScreen)


async def test_the_report_is_written_by_keys_and_a_wrong_folder_is_told(
    builder: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluated(builder, "mini", "a", 40, MOMENT)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").write_text("kept")
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        await press(pilot, "R")  # from mode 1
        asked = top(app, AskScreen)
        entry = asked.query_one(Input)
        assert entry.value == "mini-report"
        entry.value = "taken"
        await press(pilot, "enter")
        assert top(app, AskScreen) is asked
        assert "taken is a file" in screen_text(app)
        box, told = asked.query_one(".dialog"), asked.query_one("#ask-help")
        assert box.content_region.contains_region(told.region), "what is wrong is inside the dialog"
        entry.value = "taken/below"
        await press(pilot, "enter")
        await until(pilot, lambda: "the report cannot be written to taken/below: Not a directory" in notices(app)[-1])
        await press(pilot, "c", "R", "enter")  # from Compare
        await until(pilot, lambda: notices(app)[-1].startswith("written: mini-report/report.html"))
        assert (tmp_path / "taken").read_text() == "kept"
        assert "all_strategies − none, accuracy at the end" in (tmp_path / "mini-report/report.html").read_text()
        names = [command.title for command in app.get_system_commands(app.screen)]
        assert any(name.startswith("Report (") for name in names)


async def test_the_differences_of_two_experiments_and_of_two_runs(builder: Builder) -> None:
    evaluated(builder, "short", "a", 40, MOMENT - 10)
    evaluated(builder, "long", "b", 60, MOMENT)
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        await press(pilot, "c", "d", "enter")
        screen = top(app, ResultsScreen)
        pane = screen.query_one(DetailPane)
        await until(pilot, lambda: "long beside short" in pane.text)
        (row,) = [line.split() for line in pane.text.splitlines() if line.startswith("stages.ppo.steps")]
        assert row == ["stages.ppo.steps", "60", "40"]
        assert "learning_rate" not in pane.text, "what is equal is not a difference"
        await press(pilot, "D", "enter", "enter")
        await until(pilot, lambda: "seed=1 beside" in pane.text or "beside condition" in pane.text)
        assert any(line.split()[:3] == ["seed", "1", "2"] for line in pane.text.splitlines())


async def test_an_experiment_without_results_says_so_and_tables_fit_forty_columns(builder: Builder) -> None:
    evaluated(builder, "mini", "a", 40, MOMENT)
    empty = builder.stage("prime", "c1", {"condition": "none", "seed": 1})
    builder.experiment(
        "empty", [Cell(labels={"condition": "none", "seed": 1}, stages={"prime": empty.key})], MOMENT + 5
    )
    async with running(builder.workspace, (40, 12)) as (app, pilot):
        await press(pilot, "c")
        pane = top(app, ResultsScreen).query_one(DetailPane)
        await until(pilot, lambda: "no stage of this experiment evaluates" in pane.text)
        await press(pilot, "escape", "n", "c")
        pane = top(app, ResultsScreen).query_one(DetailPane)
        await until(pilot, lambda: "all_strategies" in pane.text)
        assert max(len(line) for line in pane.text.splitlines()) <= 40


async def test_counts_are_corrected_by_labels_and_shown_as_judged_on_request(builder: Builder) -> None:
    cells = [write_texts(builder.workspace, {"condition": "none", "seed": seed}, {10: NOT_SEEN}) for seed in (1, 2, 3)]
    for seed in (1, 2, 3):
        annotate(builder.workspace, f"ppo-none-{seed}", 10, NOT_SEEN, range(8))
    builder.experiment("mini", cells, MOMENT)
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        await press(pilot, "c")
        screen = top(app, ResultsScreen)
        pane = screen.query_one(DetailPane)
        await until(pilot, lambda: "corrected by people's labels" in pane.text)
        assert "1.00 ± " in pane.text
        assert "behaviours stay absent in runs without: below 0.1 a completion at the end: does not hold" in pane.text
        await press(pilot, "c")
        await until(pilot, lambda: "corrected by people's labels" not in pane.text)
        assert "below 0.1 a completion at the end: holds" in pane.text


async def test_a_claim_leads_to_the_completions_to_label(builder: Builder) -> None:
    cells = [write_texts(builder.workspace, {"condition": "none", "seed": seed}, {10: NOT_SEEN}) for seed in (1, 2, 3)]
    builder.experiment("mini", cells, MOMENT)
    async with running(builder.workspace, (120, 40)) as (app, pilot):
        await press(pilot, "c")
        screen = top(app, ResultsScreen)
        await until(pilot, lambda: screen.results is not None)
        await press(pilot, "l")
        choices = top(app, ChoiceScreen).choices
        assert "none: verification" in choices[0]
        assert choices[0].startswith("judge ?")
        await press(pilot, "enter")
        first = top(app, AnnotateScreen)
        seen = [first.rollout.seed]
        for _ in range(2):
            await press(pilot, "D", "n")
            seen.append(top(app, AnnotateScreen).rollout.seed)
        assert sorted(seen, key=str) == [1, 2, 3]  # seeds take turns
        await press(pilot, "D", "escape")
        await until(pilot, lambda: "none at the end (3)" in screen.query_one(DetailPane).text)
    assert sum(one.done for one in latest_annotations(builder.workspace)) == 3


async def test_the_overview_draws_the_accuracy_of_the_experiment(builder: Builder) -> None:
    evaluated(builder, "mini", "a", 40, MOMENT)
    async with running(builder.workspace, (160, 48)) as (app, pilot):
        chart = app.screen.query_one(AccuracyChart)
        await until(pilot, lambda: "all_strategies" in chart.text)
        assert "no evaluation" not in chart.text
        assert "40" in chart.text.splitlines()[-2], "the last step on the axis"
