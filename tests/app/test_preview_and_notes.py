"""The list of rollouts: the completion under the cursor beside it, its scope, notes and tags, copying."""

import os
import stat
from pathlib import Path

import pytest
from textual.widgets import Input

from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.clipboard import copy_to_tmux
from cogtui.app.shell.dialogs import AskScreen
from cogtui.app.traces.list.filter_bar import FilterBar
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.bars import KeyBar, TopBar
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.text_rows import TextRows
from tests.app.conftest import Builder
from tests.app.driving import notices, press, running, screen_text, top, until, visible_lines
from tests.app.test_traces import SPANS, TEXT


@pytest.fixture
def listed(builder: Builder) -> Builder:
    """One stage with two rollouts, the first judged with spans."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.rollouts(folder, [TEXT, "the second completion"], spans=[SPANS], stream="s0")
    return builder


def previewing(screen: TracesScreen) -> bool:
    return screen.shows_preview


async def test_the_completion_under_the_cursor_stands_beside_the_list(listed: Builder) -> None:
    async with running(listed.workspace, (120, 36)) as (app, pilot):
        await press(pilot, "3")
        screen = top(app, TracesScreen)
        assert previewing(screen)
        first = screen.view.rollout
        assert first is not None
        await until(pilot, lambda: screen.previewed == first.id)
        await press(pilot, "down")
        second = screen.view.rollout
        assert second is not None
        await until(pilot, lambda: screen.previewed == second.id)
        shown = " ".join(visible_lines(screen.query_one("#preview-panel TraceText", TraceText)))
        assert ("second completion" in shown) == (second.length == len("the second completion"))
        assert screen.view.has_focus
        await press(pilot, "i")
        assert not previewing(screen)


async def test_a_small_screen_has_the_preview_on_request(listed: Builder) -> None:
    async with running(listed.workspace, (80, 24)) as (app, pilot):
        await press(pilot, "3")
        screen = top(app, TracesScreen)
        assert not previewing(screen)
        await press(pilot, "i")
        assert previewing(screen)
        await until(pilot, lambda: screen.previewed is not None)


async def test_the_scope_of_a_list_is_always_visible(listed: Builder) -> None:
    async with running(listed.workspace, (120, 30)) as (app, pilot):
        app.push_screen(TracesScreen(path="x", scope="stage:ppo-0000000000c1 step:0"))
        await until(pilot, lambda: isinstance(app.screen, TracesScreen) and bool(app.screen.total))
        line = app.screen.query_one("#filter-text", TextRows)
        assert "within  stage:ppo-0000000000c1 step:0" in line.text
        assert "no filter" not in line.text
        await press(pilot, "x")
        assert "within  stage:ppo-0000000000c1 step:0" in line.text
        assert "correct:true" in line.text


async def test_notes_and_tags_are_written_from_the_list_and_from_the_reader(listed: Builder) -> None:
    async with running(listed.workspace, (120, 36)) as (app, pilot):
        await press(pilot, "3", "w")
        top(app, AskScreen).query_one(Input).value = "look again"
        await press(pilot, "enter")
        await until(pilot, lambda: "note saved" in notices(app))
        screen = top(app, TracesScreen)
        await until(pilot, lambda: screen.view.rollout is not None and screen.view.rollout.noted)
        await press(pilot, "enter")
        reader = top(app, TraceScreen)
        assert "look again" in reader.query_one("#problem", DetailPane).text
        await press(pilot, "number_sign")
        ask = top(app, AskScreen)
        ask.query_one(Input).value = "good wrong:one"
        await press(pilot, "enter")
        assert isinstance(app.screen, AskScreen), (
            "a tag that a filter cannot name is refused, and stays to be corrected"
        )
        shown = " ".join(screen_text(app).replace("│", " ").split())
        assert "'wrong:one' cannot be a tag Use up to 60 characters" in shown
        assert "quotes." in shown, "the remedy is shown to its end"
        ask.query_one(Input).value = "good odd"
        await press(pilot, "enter")
        await until(pilot, lambda: "good odd" in reader.query_one("#problem", DetailPane).text)


def test_inside_tmux_its_buffer_is_loaded_and_outside_nothing_is_run(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    program = tmp_path / "tmux"
    program.write_text(f'#!/bin/sh\necho "$@" > {taken}.arguments\ncat > {taken}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert not copy_to_tmux("x", {"PATH": path})
    assert not taken.exists()
    assert copy_to_tmux("a → b\n", {"PATH": path, "TMUX": "/tmp/tmux-0/default,1,0"})
    assert taken.read_text() == "a → b\n"
    assert Path(f"{taken}.arguments").read_text().split() == ["load-buffer", "-w", "-"]
    program.write_text("#!/bin/sh\nexit 1\n")
    assert not copy_to_tmux("x", {"PATH": path, "TMUX": "yes"}), "then OSC 52 is tried"


async def test_copying_says_where_the_text_went(
    listed: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    async with running(listed.workspace, (120, 36)) as (app, pilot):
        await press(pilot, "3", "y")
        await until(pilot, lambda: any("OSC 52" in notice for notice in notices(app)))
        monkeypatch.setattr("cogtui.app.shell.screen_base.copy_to_tmux", lambda text: True)
        await press(pilot, "y")
        await until(pilot, lambda: any("tmux's buffer" in notice for notice in notices(app)))


async def test_a_click_selects_a_double_click_opens_and_a_title_sorts(listed: Builder) -> None:
    async with running(listed.workspace, (120, 30)) as (app, pilot):
        await press(pilot, "3")
        screen = top(app, TracesScreen)
        titles = screen.query_one("#titles", TextRows)
        at = titles.text.index("reward") + 2
        await pilot.click(titles, offset=(at, 0))
        await until(pilot, lambda: screen.list_query.sort.field == "reward")
        descending = screen.list_query.sort.descending
        await pilot.click(titles, offset=(at, 0))
        await until(pilot, lambda: screen.list_query.sort.descending != descending)
        await until(pilot, lambda: screen.view.line_count == 2)
        await pilot.click(screen.view, offset=(10, 1))
        await until(pilot, lambda: screen.view.cursor == 1)
        assert isinstance(app.screen, TracesScreen), "one click selects"
        await pilot.click(screen.view, offset=(10, 0), times=2)
        await until(pilot, lambda: isinstance(app.screen, TraceScreen))


async def test_modes_and_keys_in_the_bars_are_clicked(listed: Builder) -> None:
    async with running(listed.workspace, (120, 30)) as (app, pilot):
        bar = app.screen.query_one(TopBar)
        await pilot.click(bar, offset=(bar.render_line(0).text.index("Traces") + 2, 0))
        await until(pilot, lambda: isinstance(app.screen, TracesScreen) and bool(app.screen.total))
        keys = app.screen.query_one(KeyBar)
        await pilot.click(keys, offset=(keys.render_line(0).text.index("Filter") + 1, 0))
        await until(pilot, lambda: app.screen.query_one(FilterBar).has_class("open"))
