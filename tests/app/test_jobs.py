"""Mode 2: a live table that repaints what changed only, and acting on real jobs from it."""

import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from textual.strip import Strip
from textual.widgets import Input

import jobs.state
from cogtui.app.application import CogtuiApp
from cogtui.app.jobs.log_tail import LogTail
from cogtui.app.jobs.queue_rows import format_start
from cogtui.app.jobs.screen import JobsScreen
from cogtui.app.shell.dialogs import AskScreen, ConfirmScreen
from cogtui.app.stages.facts import remedy_with_keys
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.stages.log_view import LogView
from cogtui.app.widgets.bars import KeyBar
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.keyed_table import KeyedTable
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.wrapped_text import WrappedText
from jobs.attempts.records import ExitRecord
from jobs.state.types import STATES
from jobs.workspace import Workspace
from pipelines.stages import STAGE_KINDS
from tests.app.conftest import MOMENT, Builder
from tests.app.driving import notices, press, running, screen_text, top, until, visible_lines
from tests.jobs.lab import Lab, wait_for


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A workspace of real local jobs."""
    place = Lab(tmp_path)
    STAGE_KINDS.reload()  # a test before may have searched for kinds when that of the lab was not installed
    yield place
    place.close()


def states_listed(table: KeyedTable) -> list[str]:
    """The state on each visible row of the queue."""
    return [next(word for word in line.split() if word in STATES) for line in visible_lines(table)]


async def test_only_the_rows_that_changed_are_painted(small: Builder) -> None:
    async with running(small.workspace, size=(100, 30)) as (app, pilot):
        await press(pilot, "2")
        table = top(app, JobsScreen).query_one(KeyedTable)
        painted: list[int] = []
        draw = table.render_line

        def note(y: int) -> Strip:
            painted.append(y)
            return draw(y)

        table.render_line = note  # type: ignore[method-assign]
        for _ in range(20):  # the first paint of the mode may still be under way on a busy machine
            painted.clear()
            app.poll()
            await press(pilot, "f12")  # bound to nothing: the poll is over
            if not painted:
                break
        assert painted == []
        small.workspace.folder("ppo-0000000000c1").report(100, 100, "steps")
        await until(pilot, lambda: "100%" in table.line_text(0))
        assert set(painted) == {0}
        painted.clear()
        # the third of five rows goes to the end: the first two stay as they are
        small.done(small.workspace.folder("ppo-0000000000c2"))
        await until(pilot, lambda: not any("planned" in line for line in visible_lines(table)))
        assert painted
        assert min(painted) == 2


async def test_a_job_is_cancelled_with_what_waits_for_it(lab: Lab) -> None:
    lab.stage("a", until=str(lab.path / "never"), do="children")
    lab.stage("b", "a")
    lab.submit()
    lab.wait("a", "running")
    async with running(lab.workspace, size=(110, 30)) as (app, pilot):
        await press(pilot, "2", "x")
        asked = top(app, ConfirmScreen)
        assert [lab.key(name) in detail for name, detail in zip("ab", asked.details, strict=True)] == [True, True]
        details = asked.query(WrappedText).last()
        assert lab.key("b") in details.text.splitlines()[1]
        assert details.size.height >= 2, "what goes along must be seen before one says yes"
        keys = asked.query_one(TextRows)
        assert "y yes" in " ".join(keys.text.split())
        assert keys.region.bottom <= asked.size.height
        await press(pilot, "n")
        assert lab.state("a").active
        await press(pilot, "x", "y")
        table = top(app, JobsScreen).query_one(KeyedTable)
        await until(pilot, lambda: states_listed(table) == ["cancelled"] * 2)
    wait_for(lambda: not lab.processes())


async def test_a_failed_job_shows_why_and_starts_again(lab: Lab) -> None:
    lab.stage("a", do="exit 7", once=True)
    lab.submit()
    lab.wait("a", "failed")
    async with running(lab.workspace, size=(110, 30)) as (app, pilot):
        await press(pilot, "2")
        assert "exit code 7" in screen_text(app)
        assert "start it again (r)" in " ".join(screen_text(app).split())
        assert "--retry" not in screen_text(app)
        await press(pilot, "r", "y")
        table = top(app, JobsScreen).query_one(KeyedTable)
        lab.wait("a", "done")
        await until(pilot, lambda: "done" in table.line_text(0))
        assert "attempt 2" in screen_text(app)
        assert len(lab.starts("a")) == 2
        await press(pilot, "x")
        assert isinstance(app.screen, JobsScreen), "nothing is there to be cancelled"
        assert "a is done: only running and waiting stages can be cancelled" in notices(app)[-1]


async def test_the_log_of_a_running_job_is_followed_from_the_table(lab: Lab) -> None:
    lab.stage("a", steps=3, until=str(lab.path / "go"))
    lab.submit()
    log = lab.attempt("a") / "stdout.log"
    wait_for(lambda: log.exists() and "step 3" in log.read_text())
    async with running(lab.workspace, size=(110, 30)) as (app, pilot):
        await press(pilot, "2", "enter")
        view = top(app, LogScreen).query_one(LogView)
        lines = [line.strip() for line in visible_lines(view)]
        assert [line for line in lines if line.startswith("step")] == ["step 1", "step 2", "step 3"]
        assert "3/3 steps" in lines[-1]
    (lab.path / "go").touch()
    lab.wait("a", "done")


async def test_path_and_command_are_copied(small: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(CogtuiApp, "copy_to_clipboard", lambda self, text: copied.append(text))
    async with running(small.workspace) as (_, pilot):
        await press(pilot, "2", "y", "Y")
    folder = small.workspace.stages / "ppo-0000000000c1"
    assert copied == [str(folder), f"cogtui show ppo-0000000000c1 --workspace {small.workspace.path}"]


def shown_keys(app: CogtuiApp) -> list[str]:
    """The keys in the key bar."""
    return [name for name, _, _ in app.screen.query_one(KeyBar)._shown_keys()]


async def test_the_key_bar_shows_what_works_on_the_stage_under_the_cursor(small: Builder) -> None:
    async with running(small.workspace, size=(140, 40)) as (app, pilot):
        await press(pilot, "2")
        table = top(app, JobsScreen).query_one(KeyedTable)
        found = {}
        for name in states_listed(table):
            found[name] = {key for key in shown_keys(app) if key in ("x", "r", "F")}
            await press(pilot, "down")
        assert found == {"running": {"x", "F"}, "failed": {"r", "F"}, "planned": {"r", "F"}, "done": {"F"}}
        offered = {command.title for command in app.get_system_commands(app.screen)}
        assert not any(title.startswith(("Cancel", "Start again")) for title in offered), "of a stage that is done"
        await press(pilot, "x", "r")
        said = notices(app)[-2:]
        assert "only running and waiting stages can be cancelled" in said[0]
        assert "only stages that failed" in said[1]


async def test_all_that_a_retry_starts_is_listed_before_it_starts(small: Builder) -> None:
    labels = {"condition": "dots", "seed": 3}
    for number in range(20):
        bad = small.stage("prime", f"e{number}", labels)
        small.failed(bad, stderr="", reason="no")
    last = small.stage("ppo", "f1", labels, inputs=[bad.key])
    async with running(small.workspace, size=(80, 24)) as (app, pilot):
        await press(pilot, "2")
        top(app, JobsScreen).query_one(KeyedTable).go_to(last.key)
        await press(pilot, "r")
        asked = top(app, ConfirmScreen)
        assert [line.split()[-2] for line in asked.details] == [bad.key, last.key], "the input first"
        assert "these 2 stages" in asked.question
        await press(pilot, "n", "F")
        asked = top(app, ConfirmScreen)
        assert len(asked.details) == 21
        assert "y yes" in " ".join(screen_text(app).split()), "the answer is in view, however many there are"
        before = screen_text(app)
        await press(pilot, "G")
        assert screen_text(app) != before, "the rest can be scrolled to"
        await press(pilot, "enter")
        assert isinstance(app.screen, JobsScreen)


def test_remedies_name_keys_where_there_are_keys() -> None:
    """Every remedy that a state can carry, as it is in the source."""
    folder = Path(jobs.state.__file__).parent
    source = "\n".join(path.read_text() for path in folder.glob("*.py"))
    remedies = [text for text in re.findall(r'"([A-Z][^"\n]*\.)"', source) if "--retry" in text or "cogtui" in text]
    remedies = [text for text in remedies if "`" not in text]
    assert len(remedies) > 8
    for remedy in remedies:
        told = remedy_with_keys(remedy)
        assert "--retry" not in told, told
        assert not re.search(r"cogtui (logs|cancel)", told), told
        assert re.search(r"\((r|l|x|m)\)|cogtui doctor", told), told


async def test_a_stage_starts_again_with_the_changes_its_remedy_suggests(
    small: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[list[str], list[str]]] = []

    def retry(workspace: Workspace, keys: Sequence[str], changes: Sequence[str] = ()) -> list[str]:
        given.append((list(keys), list(changes)))
        return list(keys)

    monkeypatch.setattr("jobs.submit.retry.retry_stages", retry)
    stage = small.stage("ppo", "e1", {"condition": "dots"})
    end = ExitRecord(run=1, host="node1", time=MOMENT + 60, code=1, why="failed", out_of_memory=True)
    small.attempt(stage, end=end)
    async with running(small.workspace, size=(140, 40)) as (app, pilot):
        await press(pilot, "2")
        top(app, JobsScreen).query_one(KeyedTable).go_to(stage.key)
        await press(pilot)
        await until(pilot, lambda: "resources.memory=SIZE (m)" in " ".join(screen_text(app).split()))
        await press(pilot, "m")
        entry = top(app, AskScreen).query_one(Input)
        assert entry.value == "resources.memory=SIZE"
        entry.value = "80G"
        await press(pilot, "enter")
        assert "80G is not FIELD=VALUE" in screen_text(app)
        entry.value = "resources.memory=80G"
        await press(pilot, "enter")
        assert "with resources.memory=80G" in top(app, ConfirmScreen).question
        await press(pilot, "y")
        assert given == [([stage.key], ["resources.memory=80G"])]


async def test_the_queue_shows_order_use_and_machines(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (
        ("sinfo", "printf 'gpu*|up|idle|3\\ngpu*|up|allocated|5\\n'"), ("squeue", "true"), ("sstat", "exit 1"),
    ):  # fmt: skip
        (commands / name).write_text(f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    lab.stage("a", until=str(lab.path / "never"))
    lab.stage("b", "a")
    lab.submit()
    lab.wait("a", "running")
    async with running(lab.workspace, size=(160, 48)) as (app, pilot):
        await press(pilot, "2")
        screen = top(app, JobsScreen)
        table, machines = screen.query_one(KeyedTable), screen.query_one("#machines", DetailPane)

        def look() -> bool:
            screen._looks = -1
            screen._look()
            return "MB" in table.line_text(0) and "after 1" in table.line_text(1) and "gpu" in machines.text

        await until(pilot, look)
        assert table.line_text(0).split()[0] == "1"
        assert "gpu       ■■■■■□□□   3 of 8 nodes idle" in machines.text
        assert "1 of " in machines.text.partition("here")[2].partition("taken")[0]
        for size in ((20, 5), (1, 1), (250, 70)):
            await pilot.resize_terminal(*size)
            await press(pilot, "f", "down", "tab")


def test_an_expected_start_is_a_time_of_day_or_a_date() -> None:
    now = time.mktime(time.strptime("2026-01-31T12:00:00", "%Y-%m-%dT%H:%M:%S"))
    starts = ("2026-01-31T14:05:00", "2026-02-01T09:00:00", "2026-02-03T09:00:00", "", "N/A", "2026")
    assert [format_start(start, now) for start in starts] == ["at 14:05", "at 09:00", "on 02-03", "", "", ""]


async def test_a_slurm_that_hangs_delays_nothing(
    small: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sinfo", "squeue"):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 60\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("jobs.slurm.cluster._TIMEOUT_S", 1.0)
    async with running(small.workspace, size=(120, 36)) as (app, pilot):
        began = time.monotonic()
        await press(pilot, "2")
        screen = top(app, JobsScreen)
        await until(pilot, lambda: "here" in screen.query_one("#machines", DetailPane).text)
        assert screen._activity_reader is not None
        assert screen._activity_reader._cluster.is_asking or time.monotonic() - began > 1


async def test_filters_and_the_end_of_the_log(small: Builder) -> None:
    async with running(small.workspace, size=(120, 40)) as (app, pilot):
        await press(pilot, "2")
        screen = top(app, JobsScreen)
        table, tail = screen.query_one(KeyedTable), screen.query_one(LogTail)
        await until(pilot, lambda: "step 39 reward 0.39" in tail.text)
        await press(pilot, "f")
        assert states_listed(table) == ["running", "failed"]
        await press(pilot, "f")
        assert states_listed(table) == ["failed"]
        await until(pilot, lambda: "✗ RuntimeError: out of memory [b]" in tail.text)
        await press(pilot, "f")
        assert len(states_listed(table)) == 5
