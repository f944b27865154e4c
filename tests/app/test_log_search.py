"""The search of all logs: counts per log, what is found so far, Enter at the first match."""

from pathlib import Path

import pytest

from cogtui.app.jobs.screen import JobsScreen
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.stages.log_search_screen import LogSearchScreen, LogTable
from cogtui.app.stages.log_view import LogView
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from jobs.logs.pattern import LogPattern
from jobs.logs.search import MOST_LINES, LogSearch
from jobs.workspace import Workspace
from tests.app.conftest import Builder
from tests.app.driving import press, running, settle, top, visible_lines

RUNNING, FAILED = "ppo-0000000000c1", "prime-0000000000b2"


def log_of(workspace: Workspace, key: str, name: str = "stdout.log") -> Path:
    return workspace.folder(key).path / "attempts/001" / name


async def test_all_logs_are_searched_and_enter_goes_to_the_first_match(small: Builder) -> None:
    log_of(small.workspace, RUNNING).write_text("a\nneedle [b] one\nNEEDLE two needle\n" + "x\n" * 5000)
    async with running(small.workspace, size=(110, 30)) as (app, pilot):
        await press(pilot, "2", "slash", *"needle|memory", "enter")
        screen = top(app, LogSearchScreen)
        assert "3 lines in 2 of 8 logs" in screen.query_one("#found", TextRows).text
        rows = [line.split() for line in visible_lines(screen.query_one(LogTable))]
        assert [row[0] for row in rows] == ["2", "1"]
        assert rows[0][1:5] == ["ppo", "none", "seed=1", "001/stdout.log"]
        assert "needle" in rows[0]
        await press(pilot, "enter")
        view = top(app, LogScreen).query_one(LogView)
        assert view.line_text(view.cursor).strip() == "needle [b] one"
        await press(pilot, "n")
        assert view.line_text(view.cursor).strip() == "NEEDLE two needle"
        await press(pilot, "escape", "down", "enter")
        view = top(app, LogScreen).query_one(LogView)
        assert "out of memory" in view.line_text(view.cursor)
        await press(pilot, "escape", "escape")
        assert isinstance(app.screen, JobsScreen)


async def test_an_experiment_is_searched_alone_and_a_wrong_pattern_stays(small: Builder) -> None:
    lonely = small.stage("ppo", "f1", {"seed": 9})
    small.attempt(lonely, stdout="line 7 of another\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        await press(pilot, "slash")
        screen = top(app, LogSearchScreen)
        entry = screen.query_one("#search-all", PopupInput)
        await press(pilot, *"(line", "enter")
        assert entry.has_focus
        assert entry.value == "(line"
        assert "not a regular expression" in entry.problem
        await press(pilot, *" 7$)", "enter")
        table = screen.query_one(LogTable)
        assert [line.split()[:3] for line in visible_lines(table)] == [["1", "prime", "001/stderr.log"]]
        for size in ((20, 5), (1, 1), (80, 24)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
        await press(pilot, "slash")
        assert entry.value == "(line 7$)", "to be edited"
        await press(pilot, "escape", "escape")
        assert not isinstance(app.screen, LogSearchScreen)


def test_a_search_goes_on_in_slices_counts_lines_and_is_bounded(small: Builder, tmp_path: Path) -> None:
    log = log_of(small.workspace, RUNNING)
    log.write_bytes(b"ab ab\n" * 700_000 + b"\x00\xff end")
    search = LogSearch([(RUNNING, small.workspace.folder(RUNNING).path)], LogPattern("b"))
    steps = 1
    while not search.advance(0.0).done:
        steps += 1
    assert steps > 2
    (found,) = search.found
    assert (found.count, found.is_capped, found.excerpt) == (MOST_LINES, True, "ab ab")
    exact = LogSearch([(RUNNING, small.workspace.folder(RUNNING).path)], LogPattern("end$"))
    assert exact.advance(60.0).done
    assert [(one.path, one.count) for one in exact.found] == [(log, 1)]
    stopped = LogSearch([(RUNNING, small.workspace.folder(RUNNING).path)], LogPattern("end$"), stop=lambda: True)
    stopped.advance(60.0)
    assert stopped.found == []


def test_a_log_that_cannot_be_searched_is_named_and_the_others_are(
    small: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_of(small.workspace, RUNNING).write_text(f"{'a' * 6000}!\n" * 20)
    monkeypatch.setattr("jobs.logs.pattern.BLOCK_LIMIT_S", 0.05)
    places = [(key, small.workspace.folder(key).path) for key in (RUNNING, FAILED)]
    search = LogSearch(places, LogPattern("(a+)+$"))
    while not search.advance(60.0).done:
        pass
    problems = {one.path.name: one.problem for one in search.found if one.key == RUNNING}
    assert "takes too long" in problems["stdout.log"]
    log = log_of(small.workspace, FAILED, "stderr.log")
    log.unlink()
    log.mkdir()
    assert LogSearch(places, LogPattern("memory")).advance(60.0).done, "a folder in place of a log is passed over"
