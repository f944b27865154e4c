"""`cogtui open`: the browser on files, which are read on while one looks."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cogtui.app.main import make_app
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from cogtui.cli.main import app as command_line
from cogtui.store import open_store
from cogtui.store.importing.opening import OpenedFiles, open_files
from pipelines.errors import MissingRequirement
from tests.app.driving import notices, press, settle, started, until, visible_lines


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenedFiles:
    """A verl dump of 3,000 rows, its first rows read and the reading then stopped."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    row = {"input": "Make 32 from [3, 5, 4].", "output": "(3 + 5) * 4 = 32, works. <answer>(3 + 5) * 4</answer>"}
    lines = [json.dumps({**row, "score": float(n % 2), "step": 7}) for n in range(3000)]
    (tmp_path / "7.jsonl").write_text("\n".join(lines) + "\n")
    files = open_files([tmp_path / "7.jsonl"])
    files.cancel()
    return files


async def test_first_rows_are_there_and_the_rest_arrives(opened: OpenedFiles) -> None:
    app = make_app(opened.workspace, title="7.jsonl", browse_only=True, opener=opened.store, file_import=opened)
    async with started(app) as pilot:
        screen = app.screen
        assert isinstance(screen, TracesScreen)
        assert screen.view.line_count > 0
        summary = screen.query_one("#summary", TextRows)
        screen._ask_reading()
        await settle(pilot)
        assert "reading the files" in summary.text
        assert "rows so far" in summary.text
        assert "100%" not in summary.text
        opened.read_on()
        await until(pilot, lambda: screen.total == 3000)

        def all_read() -> bool:
            screen._ask_reading()
            return "reading" not in summary.text

        await until(pilot, all_read)
        await press(pilot, "full_stop", "end")
        assert "3,000 of 3,000" in summary.text
    opened.cancel()


async def test_reading_can_be_stopped(opened: OpenedFiles) -> None:
    app = make_app(opened.workspace, browse_only=True, opener=opened.store, file_import=opened)
    async with started(app) as pilot:
        screen = app.screen
        assert isinstance(screen, TracesScreen)
        await press(pilot, "X")
        assert "reading" not in screen.query_one("#summary", TextRows).text
        assert any("continues from there" in notice for notice in notices(app))
        assert not opened.done()


async def test_rows_that_cannot_be_read_are_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "9.jsonl").write_text('{"completion": "fine"}\n{"completion": \n{"completion": "also fine"}\nnull\n')
    files = open_files([tmp_path / "9.jsonl"])
    app = make_app(files.workspace, browse_only=True, opener=files.store, file_import=files)
    async with started(app) as pilot:
        screen = app.screen
        assert isinstance(screen, TracesScreen)

        def counted() -> bool:
            screen._ask_reading()
            return "2 rows not readable" in screen.query_one("#summary", TextRows).text

        await until(pilot, counted)
        assert "of 2 rollouts" in screen.query_one("#summary", TextRows).text
        (said,) = notices(app)
        assert said.startswith("could not be read: 9.jsonl: line 2: not valid JSON")
    files.cancel()


def test_open_needs_a_terminal_before_it_reads_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "x.jsonl").write_text('{"completion": "x"}\n')
    result = CliRunner().invoke(command_line, ["open", str(tmp_path / "x.jsonl")])
    assert isinstance(result.exception, MissingRequirement)
    assert not (tmp_path / "cache").exists()


async def test_an_index_of_an_earlier_version_is_announced(opened: OpenedFiles) -> None:
    with open_store(opened.workspace) as store:
        assert store.path is not None
        with sqlite3.connect(store.path) as connection:
            connection.execute("PRAGMA user_version = 1")
    app = make_app(opened.workspace, browse_only=True, opener=opened.store, file_import=opened)
    async with started(app):
        assert any("is being built again" in text for text in notices(app))


async def test_tool_calls_and_thoughts_are_folded_and_unfolded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    thought = "Try 3 + 4 = 7.\nThat is not 32, so let me try again.\n(3 + 5) * 4 = 32, works."
    call = {"function": {"name": "add", "arguments": '{\n"a": 2\n}'}}
    said = [
        {"role": "assistant", "reasoning_content": thought, "content": "I ask.", "tool_calls": [call]},
        {"role": "tool", "content": "four\n(4)\n[/]"},
        {"role": "assistant", "content": "It is 4."},
    ]
    row = {"prompt": [{"role": "user", "content": "Make 32 from [3, 5, 4]."}], "completion": said, "reward": 1.0}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    files = open_files([tmp_path / "a.jsonl"])
    app = make_app(files.workspace, browse_only=True, opener=files.store, file_import=files)
    async with started(app) as pilot:
        await until(pilot, lambda: isinstance(app.screen, TracesScreen) and app.screen.total == 1)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, TraceScreen) and app.screen.detail is not None)
        text = app.screen.query_one(TraceText)

        def shown() -> list[str]:
            return [line.strip() for line in visible_lines(text) if line.strip()]

        await settle(pilot)
        whole = shown()
        assert [line[-8:] for line in whole[-2:]] == ["sistant]", "It is 4."]
        await press(pilot, "f")
        folded = shown()
        assert any("[call add] { … 2 more lines" in line for line in folded)
        assert any("four … 2 more lines" in line for line in folded)
        assert any("let me try again" in line for line in folded)
        assert not any("[/]" in line for line in folded)
        assert "tool calls and results are folded: 4 lines hidden" in notices(app)[-1]
        await press(pilot, "f")
        assert any("Try 3 + 4 = 7. … 2 more lines" in line for line in shown())
        text.go_to_span(0)  # a span in a folded thought is shown
        await settle(pilot)
        assert any("let me try again" in line for line in shown())
        assert shown() == whole
    files.cancel()
