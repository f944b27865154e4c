"""Screens that are made once and opened again: each time as if they were new, and painted once."""

import gc
import weakref
from collections.abc import Callable

import pytest
from textual._compositor import Compositor

from cogtui.app.application import CogtuiApp
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.list_query import ListQuery
from cogtui.app.traces.compare.pair_text import PairText
from cogtui.app.traces.compare.screen import CompareScreen
from cogtui.app.traces.list.screen import TracesScreen
from cogtui.app.traces.reader.screen import TraceScreen
from cogtui.app.widgets.text_rows import TextRows
from tests.app.conftest import Builder
from tests.app.driving import AppPilot, drawn, press, running, screen_text, settle, top
from tests.app.test_traces import SPANS, TEXT


@pytest.fixture
def two(builder: Builder) -> Builder:
    """Two problems at two steps of one run; the first in the list has spans."""
    folder = builder.stage("ppo", "c1", {"condition": "none", "seed": 1})
    builder.done(folder)
    builder.rollouts(folder, ["early other", "early one"], step=0, stream="s0")
    builder.rollouts(folder, ["another text", TEXT], step=10, spans=[[], SPANS], stream="s10")
    return builder


@pytest.fixture
def paints(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what the compositor painted, one entry a paint."""
    seen: list[str] = []
    original: Callable[..., object] = Compositor.render_update

    def render_update(self: Compositor, *arguments: object, **options: object) -> object:
        update = original(self, *arguments, **options)
        if update is not None:
            seen.append(type(update).__name__)
        return update

    monkeypatch.setattr(Compositor, "render_update", render_update)
    return seen


async def to_list(pilot: AppPilot) -> None:
    await press(pilot, "3")


MOST_PAINTS = 2
"""One as a rule; another where a slow machine was not done with something within a frame. It was four to five once."""


@pytest.mark.parametrize(("key", "text"), [("enter", "so let me try again"), ("d", "early one")])
async def test_opening_a_trace_or_a_comparison_paints_once_the_first_time_and_every_time(
    two: Builder, paints: list[str], key: str, text: str
) -> None:
    async with running(two.workspace, (120, 30)) as (app, pilot):
        await to_list(pilot)
        for _ in range(3):
            paints.clear()
            await press(pilot, key)
            assert text in screen_text(app)
            assert len(paints) <= MOST_PAINTS, paints
            await press(pilot, "escape")


@pytest.mark.parametrize("key", ["question_mark", "v", "o", "s", "slash"])
async def test_dialogs_and_the_filter_are_painted_once(two: Builder, paints: list[str], key: str) -> None:
    async with running(two.workspace, (120, 30)) as (app, pilot):
        await to_list(pilot)
        before = drawn(app)
        paints.clear()
        await press(pilot, key)
        assert 1 <= len(paints) <= MOST_PAINTS, paints
        assert drawn(app) != before
        await press(pilot, "escape")
        assert drawn(app) == before


async def test_what_happens_under_a_screen_paints_nothing(two: Builder, paints: list[str]) -> None:
    async with running(two.workspace, (120, 30)) as (app, pilot):
        await to_list(pilot)
        listed = top(app, TracesScreen)
        await press(pilot, "enter")
        paints.clear()
        listed.query_one("#summary", TextRows).show(("changed below", ""))
        listed.view.cursor = 1
        await settle(pilot)
        assert paints == []
        await press(pilot, "escape")
        assert "changed below" not in screen_text(app)  # going back told the summary where the cursor is
        assert listed.view.cursor == 0


async def test_a_screen_opened_again_remembers_nothing(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        await press(pilot, "enter", "right_square_bracket", "v", "i")
        screen = top(app, TraceScreen)
        assert screen.query_one(TraceText).current == 0
        assert screen.has_class("-pane-spans")
        await press(pilot, "escape")
        assert screen.is_available
        assert screen.detail is None
        await press(pilot, "down", "enter")
        again = top(app, TraceScreen)
        assert again is screen
        assert again.query_one(TraceText).current is None
        assert not again.has_class("-pane-spans")
        assert again.focused is again.query_one(TraceText)
        assert "another text" in screen_text(app)
        assert "let me try again" not in drawn(app)


async def test_a_search_that_ended_nowhere_does_not_go_on_in_what_is_read_next(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        top(app, TracesScreen).change(ListQuery(typed="text:again"))
        await settle(pilot)
        await press(pilot, "enter", "n", "n", "n", "escape")
        screen = next(one for one in app.screen_pool._screens if isinstance(one, TraceScreen))
        assert screen.is_available
        assert screen._arriving == 0


async def test_lists_opened_and_left_are_forgotten(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        lists = []
        for _ in range(3):
            await press(pilot, "b", "enter")
            lists.append(weakref.ref(top(app, TracesScreen)))
            await press(pilot, "escape", "escape")
        gc.collect()
        assert [one() for one in lists[:-1]] == [None, None]


async def test_what_is_not_read_yet_does_not_show_what_was_read_before(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        await press(pilot, "enter", "escape", "down")
        held = hold_store(app)
        await pilot.press("enter")
        while not isinstance(app.screen, TraceScreen):  # the app waits a moment for the store, then shows what it has
            await pilot.pause(0.01)
        screen = top(app, TraceScreen)
        assert screen.query_one("#head", TextRows).text.strip() == "reading"
        assert "let me try again" not in drawn(app)
        held()
        await settle(pilot)
        assert "another text" in screen_text(app)


def hold_store(app: CogtuiApp) -> Callable[[], None]:
    """Keeps the store from answering until the function returned is called."""
    import threading

    go_on = threading.Event()
    app.context.store.submit(lambda _: go_on.wait(60))
    return go_on.set


async def test_two_quick_enters_open_one_trace(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        await pilot.press("enter", "enter")
        await settle(pilot)
        top(app, TraceScreen)
        await press(pilot, "escape")
        top(app, TracesScreen)


async def test_a_trace_opened_from_a_comparison_opened_from_a_trace(two: Builder) -> None:
    async with running(two.workspace, (120, 30)) as (app, pilot):
        await to_list(pilot)
        await press(pilot, "enter", "d")
        compare = top(app, CompareScreen)
        await press(pilot, "enter")
        inner = top(app, TraceScreen)
        assert inner.query_one("#head", TextRows).text.count("step 10")
        await press(pilot, "escape")
        assert top(app, CompareScreen) is compare
        assert compare.query_one(PairText).line_count
        await press(pilot, "escape")
        outer = top(app, TraceScreen)
        assert outer is not inner
        assert "so let me try again" in screen_text(app)


async def test_a_resting_screen_follows_the_size_of_the_terminal(two: Builder) -> None:
    async with running(two.workspace, (120, 30)) as (app, pilot):
        await to_list(pilot)
        await press(pilot, "enter", "escape")
        await pilot.resize_terminal(60, 20)
        await settle(pilot)
        await press(pilot, "enter")
        screen = top(app, TraceScreen)
        assert screen.has_class("-narrow")
        assert screen.size.width == 60
        assert screen.query_one(TraceText).size.width <= 60
        assert "so let me try again" in screen_text(app)


async def test_leaving_by_the_key_of_the_mode_lets_it_rest(two: Builder) -> None:
    async with running(two.workspace, (90, 30)) as (app, pilot):
        await to_list(pilot)
        await press(pilot, "enter")
        screen = top(app, TraceScreen)
        await press(pilot, "3")
        top(app, TracesScreen)
        assert screen.is_available
        await press(pilot, "down", "enter")
        assert top(app, TraceScreen) is screen
        assert "another text" in screen_text(app)
