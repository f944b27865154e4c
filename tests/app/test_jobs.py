"""Mode 2: a live table that repaints what changed only, and acting on real jobs from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.strip import Strip

from cogtui.app.application import CogtuiApp
from cogtui.app.jobs.screen import JobsScreen
from cogtui.app.shell.dialogs import ConfirmScreen
from cogtui.app.stages.log_screen import LogScreen
from cogtui.app.stages.log_view import LogView
from cogtui.app.widgets.keyed_table import KeyedTable
from cogtui.app.widgets.text_rows import TextRows
from pipelines.stages import STAGE_KINDS
from tests.app.conftest import Builder
from tests.app.driving import press, running, screen_text, top, until, visible_lines
from tests.jobs.lab import Lab, wait_for


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A workspace of real local jobs."""
    place = Lab(tmp_path)
    STAGE_KINDS.reload()  # a test before may have searched for kinds when that of the lab was not installed
    yield place
    place.close()


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
        text = asked.query_one(TextRows)
        seen = text.text.splitlines()[: text.size.height]
        assert lab.key("b") in seen[3], "what goes along must be seen before one says yes"
        assert "y yes" in " ".join(seen[-1].split())
        await press(pilot, "n")
        assert lab.state("a").active
        await press(pilot, "x", "y")
        table = top(app, JobsScreen).query_one(KeyedTable)
        await until(pilot, lambda: [line.split()[1] for line in visible_lines(table)] == ["cancelled"] * 2)
    wait_for(lambda: not lab.processes())


async def test_a_failed_job_shows_why_and_starts_again(lab: Lab) -> None:
    lab.stage("a", do="exit 7", once=True)
    lab.submit()
    lab.wait("a", "failed")
    async with running(lab.workspace, size=(110, 30)) as (app, pilot):
        await press(pilot, "2")
        assert "exit code 7" in screen_text(app)
        assert "--retry" in screen_text(app)
        await press(pilot, "r", "y")
        table = top(app, JobsScreen).query_one(KeyedTable)
        lab.wait("a", "done")
        await until(pilot, lambda: "done" in table.line_text(0))
        assert "attempt 2" in screen_text(app)
        assert len(lab.starts("a")) == 2
        await press(pilot, "x")
        assert isinstance(app.screen, JobsScreen), "nothing is there to be cancelled"


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
