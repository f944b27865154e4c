"""The log screen: follows, searches, loads from both ends, survives rotation."""

import os
import shutil
import time
from pathlib import Path

import pytest
from textual.strip import Strip

from cogtui.app.application import CogtuiApp
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.stages.log_view import LogView
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from jobs.logs.levels import line_level
from pipelines.files import write_json
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, notices, press, running, screen_text, settle, visible_lines

KEY = "ppo-0000000000c1"


def log_path(builder: Builder) -> Path:
    return builder.workspace.folder(KEY).path / "attempts/001/stdout.log"


async def open_log(app: CogtuiApp, pilot: AppPilot) -> tuple[LogScreen, LogView]:
    screen = LogScreen("Jobs", KEY)
    app.push_screen(screen)
    await settle(pilot)
    return screen, screen.query_one(LogView)


async def poll(screen: LogScreen, pilot: AppPilot) -> None:
    screen._poll()
    await settle(pilot)


async def test_it_opens_at_the_end_and_follows(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        assert visible_lines(view)[-1].strip() == "step 39 reward 0.39"
        with log_path(small).open("a") as log:
            log.write("step 40\nstep 4")
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)[-2:]] == ["step 40", "step 4"]
        with log_path(small).open("a") as log:
            log.write("1 now whole\n")
        await poll(screen, pilot)
        assert visible_lines(view)[-1].strip() == "step 41 now whole"


async def test_moving_up_stops_following_and_g_takes_it_up_again(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        await press(pilot, "pageup", "up")
        assert "not following" in screen.query_one("#where", TextRows).text
        before = visible_lines(view)
        with log_path(small).open("a") as log:
            log.write("a new line\n")
        await poll(screen, pilot)
        assert visible_lines(view) == before
        await press(pilot, "G")
        assert screen.following
        assert visible_lines(view)[-1].strip() == "a new line"


async def test_an_idle_log_repaints_nothing(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        drawn: list[int] = []
        draw = view.render_line

        def note(y: int) -> Strip:
            drawn.append(y)
            return draw(y)

        view.render_line = note  # type: ignore[method-assign]
        await poll(screen, pilot)
        assert drawn == []


async def test_a_big_log_is_walked_from_end_to_start(small: Builder) -> None:
    log_path(small).write_text("".join(f"line {n}\n" for n in range(60_000)))
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        assert visible_lines(view)[-1].strip() == "line 59999"
        assert view.line_count < 20_000
        while view.first_byte > 100_000:
            top = visible_lines(view)[0].strip()
            view.action_move_page(-100)
            await settle(pilot)
            assert visible_lines(view)[0].strip() != top
        await press(pilot, "g")
        assert visible_lines(view)[0].strip() == "line 0"
        for _ in range(30):
            view.action_move_page(40)
            await settle(pilot)
        texts = [entry.text for entry in view._lines]
        first = int(texts[0].split()[1])
        assert texts == [f"line {n}" for n in range(first, first + len(texts))], "no line lost or doubled"


async def test_search_finds_forwards_and_backwards(small: Builder) -> None:
    lines = [f"line {n}" for n in range(50_000)]
    lines[100], lines[30_000] = "needle one", "NEEDLE two"
    log_path(small).write_text("\n".join(lines) + "\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        await press(pilot, "g", "slash")
        await pilot.press(*"needle")
        await press(pilot, "enter")
        assert view.line_text(view.cursor).strip() == "needle one"
        await press(pilot, "n")
        assert view.line_text(view.cursor).strip() == "NEEDLE two"
        await press(pilot, "N")
        assert view.line_text(view.cursor).strip() == "needle one"
        assert app.focused is view


async def test_a_wrong_pattern_stays_in_the_prompt_with_the_error(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        before = view.cursor
        await press(pilot, "slash", "(", "enter")
        entry = app.screen.query_one("#search", PopupInput)
        assert entry.has_focus
        assert entry.value == "("
        assert "not a regular expression" in entry.problem
        assert "not a regular expression" in drawn_below(app, entry)
        await press(pilot, ")", "enter")
        assert not entry.has_class("open"), "it is one now"
        await press(pilot, "slash", "(", "enter", "escape", "n")
        assert view.cursor == before
        assert set(notices(app)) == {"no further match"}, "errors of the prompt are shown in the prompt"


def drawn_below(app: CogtuiApp, entry: PopupInput) -> str:
    """The screen's row below an input, where its border is."""
    row = entry.region.bottom - 1
    return app.screen._compositor.render_strips()[row].text


def test_the_level_of_a_line_is_what_it_states() -> None:
    assert [line_level(text) for text in (
        "2026-01-01 INFO train: grad error: 0.1", "WARNING: caught ValueError: x", "UserWarning: slow", "DEBUG x",
        "CRITICAL stop", "KeyError: 'a'", "step 4 reward 0.1", "informational", "E" * 9000,
    )] == ["info", "warning", "warning", "debug", "error", "error", "", "", ""]  # fmt: skip


async def test_levels_are_told_apart_without_colour(small: Builder) -> None:
    frames = 'Traceback (most recent call last):\n  File "x.py", line 3, in f\n    f()\nKeyError: 1\n'
    log_path(small).write_text(f"INFO start\nWARNING slow\n{frames}  indented\nnext\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        lines = visible_lines(view)
        assert [line[:2] for line in lines] == ["  ", "▲ ", "✗ ", "✗ ", "✗ ", "✗ ", "  ", "  "]
        styles = [view.line_parts(row, 60)[-1][1] for row in range(len(lines))]
        assert styles == ["", "warn", "bad", "bad", "bad", "bad", "", ""]


@pytest.mark.slow
async def test_a_binary_log_of_200_mb_is_opened_at_once_and_shown_as_text(small: Builder) -> None:
    with log_path(small).open("wb") as log:
        log.truncate(200 << 20)  # a hole: zeros
        log.seek(0, os.SEEK_END)
        log.write(b"\xff\xfe\x1b]52;c;aGk=\x07\x00 needle\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        began = time.process_time()
        _, view = await open_log(app, pilot)
        assert time.process_time() - began < 2
        last = view.line_text(view.cursor)
        assert "needle" in last
        assert all(character.isprintable() for character in last)
        for size in ((20, 5), (1, 1), (80, 24)):
            await pilot.resize_terminal(*size)
            await settle(pilot)
        await press(pilot, "g", "slash", *"needle", "enter")
        assert view.byte > (200 << 20) - 20_000, "at the piece of the endless line that has the match"
        assert notices(app) == []


async def test_a_search_that_takes_for_ever_is_given_up_and_stops_nothing_else(
    small: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.logs.pattern.BLOCK_LIMIT_S", 0.2)
    log_path(small).write_text(f"{'a' * 6000}!\n" * 20)
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        ticks: list[int] = []
        app.set_interval(0.02, lambda: ticks.append(len(ticks)))
        await press(pilot, "g", "slash")
        await pilot.press(*"(a+)+$")
        await press(pilot, "enter")
        assert any("was given up: it takes too long on this log" in notice for notice in notices(app))
        assert len(ticks) > 5, "the app went on meanwhile"
        await press(pilot, "n")
        assert app.screen.query_one(PopupInput).has_focus, "no search is on, so n asks for one"
        await press(pilot, "escape", "down")
        assert view.cursor == 1


async def test_e_goes_to_the_first_error_and_n_to_the_next(small: Builder) -> None:
    lines = [f"line {n}" for n in range(9000)]
    lines[50], lines[8000] = "KeyError: 'a'", "torch.OutOfMemoryError: CUDA out of memory"
    log_path(small).write_text("\n".join(lines) + "\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        await press(pilot, "e")
        assert view.line_text(view.cursor).strip() == "✗ KeyError: 'a'"
        await press(pilot, "n")
        assert view.line_text(view.cursor).strip().startswith("✗ torch.OutOfMemoryError")


async def test_rotation_and_truncation_begin_anew(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        log_path(small).write_text("after truncation\n")
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)] == ["after truncation"]
        aside = log_path(small).with_name("new")
        aside.write_text("another file, and a longer one than before\n" * 3)
        aside.rename(log_path(small))
        await poll(screen, pilot)
        assert view.line_count == 3


async def test_a_file_that_is_emptied_and_grows_past_its_old_size_is_shown_anew(small: Builder) -> None:
    log_path(small).write_text("old one\nold two\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        log_path(small).write_text("".join(f"new {n}\n" for n in range(9)))
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)] == [f"new {n}" for n in range(9)]
        with log_path(small).open("a") as stream:
            stream.write("and on\n")
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)][-2:] == ["new 8", "and on"]


async def test_lines_wrap_or_are_cut(small: Builder) -> None:
    log_path(small).write_text("word " * 100 + "\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        _, view = await open_log(app, pilot)
        assert view.line_count == 7
        await press(pilot, "w")
        assert view.line_count == 1
        before = view.line_text(0)
        await press(pilot, "right")
        assert view.line_text(0) != before


async def test_a_done_stage_without_attempts_is_not_said_to_wait(small: Builder) -> None:
    shutil.rmtree(small.workspace.folder(KEY).path / "attempts")
    write_json(small.workspace.folder(KEY).path / "result.json", {})
    async with running(small.workspace, size=(120, 24)) as (app, pilot):
        screen, _ = await open_log(app, pilot)
        shown = screen.query_one("#where", TextRows).text
        assert "has not started" not in shown
        assert "the stage is done, but this workspace has only its results" in shown


async def test_a_stage_without_log_says_so_and_finds_it_later(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen = LogScreen("Jobs", "ppo-0000000000c2")
        app.push_screen(screen)
        await settle(pilot)
        assert "no log yet" in screen.query_one("#where", TextRows).text
        small.attempt(small.workspace.folder("ppo-0000000000c2"), stdout="it began\n")
        await poll(screen, pilot)
        assert "it began" in screen_text(app)


async def test_it_goes_on_with_a_new_attempt_while_it_follows(small: Builder) -> None:
    folder = small.workspace.folder(KEY)
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        await press(pilot, "up")
        second = small.attempt(folder, 2, stdout="")
        await poll(screen, pilot)
        await press(pilot, "G")
        await poll(screen, pilot)
        assert screen.file is not None
        assert screen.file.path == log_path(small)  # as long as the new one says nothing
        (second / "stdout.log").write_text("step 40, continued\n")
        await poll(screen, pilot)
        assert visible_lines(view) == [view.line_text(0)]
        assert "step 40, continued" in view.line_text(0)
        assert "002/stdout.log" in screen.query_one("#where", TextRows).text


async def test_the_workers_log_gives_way_to_that_of_the_stage(small: Builder) -> None:
    log_path(small).write_text("")
    log_path(small).with_name("worker.log").write_text("loading\n")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        screen, view = await open_log(app, pilot)
        assert [line.strip() for line in visible_lines(view)] == ["loading"]
        log_path(small).write_text("1/10 steps\n")
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)] == ["1/10 steps"]
        await press(pilot, "o", "end", "enter")
        await poll(screen, pilot)
        assert [line.strip() for line in visible_lines(view)] == ["loading"], "what was chosen stays"


async def test_another_file_can_be_chosen(small: Builder) -> None:
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        log_path(small).with_name("stderr.log").write_text("a warning\n")
        screen, view = await open_log(app, pilot)
        assert screen.file is not None
        assert screen.file.path.name == "stdout.log"
        await press(pilot, "o", "home", "enter")
        assert screen.file.path.name == "stderr.log"
        assert visible_lines(view)[0].strip() == "a warning"


async def test_the_pager_opens_the_file(small: Builder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "pager"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    script.chmod(0o755)
    monkeypatch.setenv("PAGER", f"{script} -x")
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        await open_log(app, pilot)
        monkeypatch.setattr(type(app._driver), "can_suspend", True)
        await press(pilot, "v")
        assert (tmp_path / "called").read_text().strip() == f"-x {log_path(small)}"
