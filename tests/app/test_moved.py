"""A workspace that is moved, or whose disk is unmounted, while the app is open: said, and never shown as empty."""

import re

import pytest

from cogtui.app.application import CogtuiApp
from cogtui.app.traces.list.rollout_list import RolloutList
from cogtui.app.widgets.bars import TopBar
from tests.app.conftest import Builder
from tests.app.driving import notices, press, running, screen_text, settle

GONE = "any more: it was moved or deleted, or its disk is not mounted"


def timeless(app: CogtuiApp) -> str:
    """Return the text of the screen without clock times, which go on."""
    return re.sub(r"\d\d:\d\d:\d\d", "TIME", screen_text(app))


@pytest.mark.parametrize("mode", ["1", "2", "3", "4"])
async def test_a_workspace_moved_under_the_app_is_said_and_what_was_read_stays(small: Builder, mode: str) -> None:
    path = small.workspace.path
    away = path.with_name("elsewhere")
    async with running(small.workspace, size=(120, 30)) as (app, pilot):
        await press(pilot, mode)
        before = timeless(app)
        path.rename(away)
        for _ in range(3):
            app.poll()
            await settle(pilot)
        assert timeless(app) == before
        assert any(GONE in notice for notice in notices(app))
        assert "workspace gone" in app.screen.query_one(TopBar).render_line(0).text
        assert not path.exists(), "nothing is written at its old place"
        away.rename(path)
        app.poll()
        await settle(pilot)
        assert timeless(app) == before
        assert "workspace gone" not in app.screen.query_one(TopBar).render_line(0).text


async def test_a_trace_of_a_workspace_that_was_moved_says_what_cannot_be_read(small: Builder) -> None:
    path = small.workspace.path
    small.rollouts(small.workspace.find("ppo-0000000000c1"), ["one text", "another"])
    async with running(small.workspace, size=(120, 30)) as (app, pilot):
        await press(pilot, "3")
        assert app.screen.query_one(RolloutList).line_count > 0
        path.rename(path.with_name("elsewhere"))
        await press(pilot, "enter")
        assert any("cannot read" in notice for notice in notices(app))
        assert "this rollout cannot be read" in screen_text(app)
        app.poll()
        await settle(pilot)
        assert sum(GONE in notice for notice in notices(app)) == 1
