"""Mode 1 as an overview: the list of experiments, the matrix by seed, claims in words, and warnings."""

import pytest
from textual.widgets import Input

from cogtui.app.experiments.experiment_list import ExperimentList
from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.rendering.states import format_share
from cogtui.app.shell.dialogs import AskScreen, ConfirmScreen
from cogtui.app.shell.snapshot_reader import SnapshotReader
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.text_rows import TextRows
from jobs.attempts.records import ExitRecord
from jobs.planning.archive import archive_experiment, archived_names, restore_experiment
from jobs.planning.cell import Cell
from jobs.recipe.labels import Label
from jobs.submit.deletion import plan_deletion
from pipelines.errors import NotFound
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import notices, press, running, screen_text, top, until, visible_lines

ACCURACIES = {
    ("none", 1): (0.08, 0.12), ("none", 2): (0.09, 0.14), ("none", 3): (0.07, 0.12),
    ("all_strategies", 1): (0.10, 0.35), ("all_strategies", 2): (0.11, 0.37), ("all_strategies", 3): (0.12, 0.39),
}  # fmt: skip


def finish(builder: Builder, key: str, before: float, after: float, warnings: tuple[str, ...] = ()) -> None:
    folder = builder.workspace.folder(key)
    builder.attempt(folder, end=ExitRecord(run=1, host="node1", time=MOMENT + 60, code=0, why="done"))
    folder.write_result(
        {
            "accuracy_before": before, "accuracy_after": after, "accuracy_n": 480, "reward_first": 0.1,
            "reward_last": 0.2, "reward_n": 96, "reward_steps": 1, "warnings": list(warnings),
        }
    )  # fmt: skip


@pytest.fixture
def measured(builder: Builder) -> Builder:
    """Two conditions with three seeds, of which one run still trains; another experiment with one failure."""
    cells = []
    for number, ((condition, seed), (before, after)) in enumerate(ACCURACIES.items()):
        labels: dict[str, Label] = {"condition": condition, "seed": seed}
        folder = builder.stage("ppo", f"c{number}", labels)
        cells.append(Cell(labels=labels, stages={"ppo": folder.key}))
        if (condition, seed) == ("all_strategies", 3):
            builder.attempt(folder)
            folder.report(25, 100, "steps")
        else:
            warnings = ("kl_explosion: KL above 10 in step 31",) if seed == 2 else ()
            finish(builder, folder.key, before, after, warnings)
    broken = builder.stage("ppo", "d1", {"condition": "none", "seed": 1})
    builder.failed(broken, stderr="", reason="RuntimeError: out of memory")
    builder.experiment("other", [Cell(labels={"condition": "none", "seed": 1}, stages={"ppo": broken.key})], MOMENT - 9)
    builder.experiment("mini", cells)
    return builder


async def test_the_list_tells_state_accuracy_gain_and_warnings(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        view = screen.query_one(ExperimentList)
        await until(pilot, lambda: "→" in visible_lines(view)[0])
        mini, other = visible_lines(view)
        assert "◐ 5 of 6" in mini
        assert ".11 → .36  +.26 ±" in mini, "the best condition, over its two finished seeds"
        assert "▲ 2" in mini
        assert "all_strategies" in mini
        assert "✗ 1 failed" in other
        assert "no result yet" in other


async def test_claims_are_told_in_words_with_interval_and_seeds(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        pane = screen.query_one("#claims", DetailPane)
        await until(pilot, lambda: "primed" in pane.text)
        words = " ".join(pane.text.split())
        assert "▲ kl_explosion in 2 stages" in words
        assert "primed ends above unprimed: +.23 ± " in words
        assert "2 of 3 seeds" in words


async def test_the_matrix_has_a_key_figure_for_each_condition_and_seed(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        view = screen.query_one(MatrixView)
        none, primed = visible_lines(view)
        assert none.split() == ["none", "›", "✓", ".120", "✓", ".140", "▲", "✓", ".120"]
        assert primed.split() == ["all_strategies", "✓", ".350", "✓", ".370", "▲", "◐", "25%"]
        await press(pilot, "down", "right", "right")
        assert screen.stage_key == "ppo-0000000000c5"
        await press(pilot, "v")
        assert view.line_count == 6, "a row per run and a column per stage"
        assert app.context.experiment == "mini"


async def test_the_list_chooses_what_the_matrix_shows(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        screen.query_one(ExperimentList).focus()
        await press(pilot, "down")
        assert screen.query_one(MatrixView).line_count == 1
        assert app.context.experiment == "other"
        await press(pilot, "enter")
        assert screen.query_one(MatrixView).has_focus


async def test_a_narrow_screen_shows_claims_until_the_cursor_is_on_a_stage(measured: Builder) -> None:
    async with running(measured.workspace, (80, 24)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        await until(pilot, lambda: screen.query_one("#claims-panel").display and not screen.has_class("-explain"))
        await press(pilot, "down", "right", "right")
        assert screen.query_one("#facts-panel").size.height > 0
        assert screen.query_one("#claims-panel").size.height == 0


async def test_an_archived_experiment_is_hidden_and_nothing_is_deleted(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        await press(pilot, "A", "n")
        assert len(app.context.snapshot.experiments) == 2, "only y confirms"
        await press(pilot, "A", "y")
        await until(pilot, lambda: [one.name for one in app.context.snapshot.experiments] == ["other"])
        assert top(app, ExperimentsScreen).query_one(MatrixView).line_count == 1
        assert measured.workspace.folder("ppo-0000000000c0").path.is_dir()
        assert archived_names(measured.workspace) == ["mini"]
        restore_experiment(measured.workspace, "mini")
        await until(pilot, lambda: len(app.context.snapshot.experiments) == 2)
    with pytest.raises(NotFound):
        archive_experiment(measured.workspace, "../stages")


async def test_delete_says_what_goes_and_u_brings_it_back(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        names = [one.name for one in app.context.snapshot.experiments]
        await press(pilot, "n")
        shown = app.context.experiment
        assert shown == "other"
        await press(pilot, "D")
        asked = top(app, ConfirmScreen)
        assert shown in asked.question
        assert any("To the trash" in line for line in asked.details)
        await press(pilot, "enter")
        assert plan_deletion(measured.workspace, shown).starts, "only y confirms"
        await press(pilot, "D", "y")
        await until(pilot, lambda: shown not in [one.name for one in app.context.snapshot.experiments])
        await press(pilot, "u")
        await until(pilot, lambda: sorted(one.name for one in app.context.snapshot.experiments) == sorted(names))


async def test_the_last_experiment_can_be_deleted_and_comes_back(builder: Builder) -> None:
    folder = builder.stage("ppo", "c1")
    builder.done(folder)
    builder.experiment("only", [Cell(labels={"seed": 1}, stages={"ppo": folder.key})])
    async with running(builder.workspace, (100, 30)) as (app, pilot):
        await press(pilot, "D", "y")
        await until(pilot, lambda: app.screen.has_class("-empty"))
        await press(pilot, "D", "w")
        assert isinstance(app.screen, ExperimentsScreen), "there is nothing to delete or to write on"
        await press(pilot, "u")
        await until(pilot, lambda: not app.screen.has_class("-empty"))
        await press(pilot, "u")
        assert "the trash of" in notices(app)[-1]


async def test_a_running_experiment_is_not_deleted(measured: Builder) -> None:
    async with running(measured.workspace, (100, 30)) as (app, pilot):
        await press(pilot, "D")
        assert isinstance(app.screen, ExperimentsScreen)
        assert "mini is not deleted: 1 stage" in notices(app)[-1]


async def test_an_unwritable_workspace_refuses_notes_and_deletion_and_loses_nothing(
    measured: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system", "notes")

    async with running(measured.workspace, (100, 30)) as (app, pilot):
        names = [one.name for one in app.context.snapshot.experiments]
        await press(pilot, "n")
        monkeypatch.setattr("pathlib.Path.mkdir", refused)  # a root user may write everywhere
        await press(pilot, "w", "x", "enter")
        assert "the note cannot be written" in notices(app)[-1]
        await press(pilot, "D", "y")
        assert "is not deleted: notes: Read-only file system" in notices(app)[-1]
        monkeypatch.undo()
        await until(pilot, lambda: [one.name for one in app.context.snapshot.experiments] == names)


async def test_notes_and_tags_are_written_by_keys_and_shown(measured: Builder) -> None:
    async with running(measured.workspace, (140, 40)) as (app, pilot):
        await press(pilot, "w", *"hot [b]", "enter")
        await press(pilot, "number_sign", *"base,", "enter")
        assert isinstance(app.screen, AskScreen), "a comma cannot be in a tag"
        await press(pilot, "backspace", "enter")
        summary, listed = app.screen.query_one("#summary", TextRows), app.screen.query_one(ExperimentList)
        await until(pilot, lambda: "#base" in summary.text and "hot [b]" in summary.text)
        await until(pilot, lambda: any("#base" in line and "hot [b]" in line for line in visible_lines(listed)))
        await press(pilot, "w")
        assert top(app, AskScreen).query_one(Input).value == "hot [b]", "to be edited"


async def test_the_palette_lists_what_works_here_under_the_words_people_use(small: Builder) -> None:
    async with running(small.workspace, (140, 40)) as (app, pilot):
        await press(pilot, "2")
        names = [one.title for one in app.get_system_commands(app.screen)]
        assert any(name.startswith("Cancel") and "kill" in name for name in names), "of the running stage"
        await press(pilot, "down")
        names = [one.title for one in app.get_system_commands(app.screen)]
        assert any(name.startswith("Start again") and "retry" in name for name in names), "of the failed stage"
        assert not any(name.startswith("Cancel") for name in names)
        assert "New experiment: run or launch a recipe" in names
        assert not {"Next line", "Page down", "Focus Next", "Copy selected text"} & set(names)


def test_shares_are_rounded_and_not_cut() -> None:
    assert [format_share(8 / 48, 2), format_share(0.999, 2), format_share(0.1046)] == [".17", "1.00", ".105"]


async def test_an_experiment_without_a_result_says_why_in_whole_words(builder: Builder) -> None:
    stage = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.experiment("mini", [Cell(labels={"condition": "none", "seed": 1}, stages={"ppo": stage.key})])
    async with running(builder.workspace, (120, 36)) as (app, pilot):
        pane = top(app, ExperimentsScreen).query_one("#claims", DetailPane)
        await until(pilot, lambda: "nothing to compare" in pane.text)
        assert " ".join(pane.text.split()) == "nothing to compare yet: a claim needs finished runs of two conditions"
        assert max(map(len, pane.text.splitlines())) <= pane.size.width


async def test_a_large_workspace_shows_what_is_on_the_screen_first_and_nothing_false_meanwhile(
    measured: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogtui.app.shell.snapshot_reader._FIRST_STAGES", 2)
    reader = SnapshotReader(measured.workspace)
    first, second = reader.read(), reader.read()
    assert (len(first.states), first.unread) == (2, 5)
    assert (len(second.states), second.unread) == (7, 0)
    assert all(second.states[key] is state for key, state in first.states.items())  # read once

    async with running(measured.workspace, (140, 40)) as (app, pilot):
        screen = top(app, ExperimentsScreen)
        await until(pilot, lambda: screen.has_stage_view and not app.context.snapshot.unread)
        app.context.snapshot = first
        app.snapshot_signal.publish(first)
        await pilot.pause()
        text = screen_text(app)
        assert "reading the states of 4 stages …" in text
        assert "planned" not in text
        assert "done" not in text.splitlines()[0]
        app.poll()
        await until(pilot, lambda: "5 done" in screen_text(app))
