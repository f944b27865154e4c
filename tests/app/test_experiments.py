"""Mode 1 and 2: what the matrix and the jobs table say, and where Enter leads."""

from cogtui.app.experiments.matrix_widget import MatrixView
from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.jobs.screen import JobsScreen
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.widgets.keyed_table import KeyedTable
from cogtui.app.widgets.text_rows import TextRows
from jobs.attempts.records import ExitRecord
from jobs.state.types import STATES
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import press, running, screen_text, settle, until, visible_lines


async def test_the_matrix_tells_each_state_by_glyph_and_word(small: Builder) -> None:
    async with running(small.workspace) as (app, _):
        assert isinstance(app.screen, ExperimentsScreen)
        lines = visible_lines(app.screen.query_one(MatrixView))
        assert [line.split() for line in lines] == [
            ["none", "seed=1", "›", "✓", "done", "✓", "done", "◐", "running", "40%"],
            ["all_strategies", "seed=2", "✓", "done", "✗", "failed", "○", "planned"],
        ]
        summary = app.screen.query_one("#summary", TextRows).text
        assert "mini (1 of 2)" in summary
        assert "✗ 1 failed" in summary


async def test_the_pane_below_explains_the_failure(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "down", "right")
        text = screen_text(app)
        assert "RuntimeError: out of memory [b]" in text
        assert "prime-0000000000b2" in text


async def test_enter_on_a_failed_cell_opens_its_log_at_the_error_and_esc_comes_back(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        await press(pilot, "down", "right", "enter")
        assert isinstance(app.screen, LogScreen)
        assert "Traceback (most recent call last):" in screen_text(app)
        assert not app.screen.following
        await press(pilot, "escape")
        assert isinstance(app.screen, ExperimentsScreen)
        assert app.screen.stage_key == "prime-0000000000b2"


async def test_a_stage_that_did_not_start_has_nothing_to_open(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "down", "right", "right", "enter")
        assert isinstance(app.screen, ExperimentsScreen)


async def test_other_experiments_are_a_key_away(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "n")
        assert "older (2 of 2)" in app.screen.query_one("#summary", TextRows).text
        assert app.screen.query_one(MatrixView).line_count == 1
        await press(pilot, "n")
        assert "mini (1 of 2)" in app.screen.query_one("#summary", TextRows).text


async def test_a_new_state_changes_only_its_row_and_keeps_the_cursor(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "down")
        view = app.screen.query_one(MatrixView)
        repainted: list[int] = []
        changed = view.line_changed

        def note(line: int) -> None:
            repainted.append(line)
            changed(line)

        view.line_changed = note  # type: ignore[method-assign]
        small.workspace.folder("ppo-0000000000c1").report(41, 100, "steps")
        # another folder object, as a process of its own: one alone reports at most every two seconds
        small.workspace.folder("ppo-0000000000c1").report(55, 100, "steps")
        await until(pilot, lambda: "55%" in visible_lines(view)[0])
        assert set(repainted) == {0}
        assert view.cursor == 1


async def test_an_empty_workspace_says_how_to_begin(builder: Builder) -> None:
    async with running(builder.workspace) as (app, _):
        assert "cogtui run RECIPE" in screen_text(app)


async def test_many_stages_scroll_sideways_at_80_columns(builder: Builder) -> None:
    from jobs.planning.cell import Cell

    stages = {f"stage_number_{n}": builder.stage("ppo", f"d{n}").key for n in range(9)}
    builder.experiment("wide", [Cell(labels={"seed": 1}, stages=stages)], MOMENT)
    async with running(builder.workspace, size=(80, 24)) as (app, pilot):
        titles = app.screen.query_one("#titles", TextRows)
        assert "stage_number_0" in titles.text
        assert titles.text.rstrip().endswith("›")
        await press(pilot, *["right"] * 8)
        assert "stage_number_8" in titles.text
        assert "stage_number_0" not in titles.text
        assert app.screen.stage_key == "ppo-0000000000d8"  # type: ignore[attr-defined]


async def test_jobs_lists_what_needs_a_person_before_what_is_done(small: Builder) -> None:
    async with running(small.workspace, size=(140, 40)) as (app, pilot):
        await press(pilot, "2")
        assert isinstance(app.screen, JobsScreen)
        rows = visible_lines(app.screen.query_one(KeyedTable))
        words = [next(word for word in row.split() if word in STATES) for row in rows]
        assert words == ["running", "failed", "planned", "done", "done"]
        assert "all_strategies seed=2" in rows[1]
        assert "RuntimeError: out" in rows[1]
        await press(pilot, "down")
        assert "attempt 1" in screen_text(app)
        assert "exit 1" in screen_text(app)


async def test_the_jobs_cursor_stays_on_its_stage_when_rows_move(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "2", "down", "down")
        screen = app.screen
        assert isinstance(screen, JobsScreen)
        key = screen.stage_key
        assert key == "ppo-0000000000c2"
        small.done(small.workspace.folder(key))
        table = screen.query_one(KeyedTable)
        await until(pilot, lambda: "done" in table.line_text(table.cursor))
        assert screen.stage_key == key


async def test_modes_keep_their_place_and_a_second_press_goes_to_the_top(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await press(pilot, "down", "right", "l")
        assert isinstance(app.screen, LogScreen)
        await press(pilot, "2")
        assert isinstance(app.screen, JobsScreen)
        await press(pilot, "1")
        assert isinstance(app.screen, LogScreen)
        await press(pilot, "1")
        assert isinstance(app.screen, ExperimentsScreen)


async def test_q_quits(small: Builder) -> None:
    async with running(small.workspace) as (app, pilot):
        await pilot.press("q")
        await pilot.pause()
        assert app.return_code == 0
        await settle(pilot)


async def test_a_finished_stage_shows_its_result_not_its_last_step(small: Builder) -> None:
    folder = small.workspace.folder("ppo-0000000000c1")
    folder.report(100, 100, "steps", values={"test_accuracy": 0.25})
    folder.write_result(
        {
            "accuracy_before": 0.05, "accuracy_after": 0.104, "accuracy_n": 480,
            "reward_first": 0.1, "reward_last": 0.2, "reward_n": 96, "reward_steps": 1,
            "warnings": ["kl_explosion: KL above 10 in step 31"],
        }
    )  # fmt: skip
    small.attempt(folder, 2, end=ExitRecord(run=1, host="node1", time=MOMENT + 60, code=0, why="done"))
    async with running(small.workspace) as (app, pilot):
        view = app.screen.query_one(MatrixView)
        assert visible_lines(view)[0].split()[-3:] == ["✓", ".104", "▲"]
        await press(pilot, "right", "right")
        text = screen_text(app)
        assert "test accuracy, before → after  0.050 → 0.104 (n 480)" in text
        assert "kl_explosion" in text
        assert "▲ warnings in 1 stage" in text
        assert "0.25" not in text


async def test_a_damaged_or_odd_result_shows_the_state_alone(small: Builder) -> None:
    key = "ppo-0000000000c1"
    small.attempt(small.workspace.folder(key), 2, end=ExitRecord(run=1, host="n", time=MOMENT + 60, code=0, why="done"))
    small.workspace.folder(key).write_result({"accuracy_after": "high", "warnings": 3, "accuracy_before": [1]})
    async with running(small.workspace) as (app, _):
        assert visible_lines(app.screen.query_one(MatrixView))[0].split()[-2:] == ["✓", "done"]
