"""Driving the app through Pilot: no sleeps, everything waited for by what it is waiting on."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from textual.message import Message
from textual.notifications import Notify
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import WorkerCancelled

from cogtui.app.application import CogtuiApp
from cogtui.app.main import make_app
from cogtui.app.widgets.detail_pane import DetailPane
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.wrapped_text import WrappedText
from cogtui.store import Store, open_store
from jobs.workspace import Workspace

AppPilot = Pilot[None]
S = TypeVar("S", bound=Screen[Any])
_NOTICES: WeakKeyDictionary[CogtuiApp, list[str]] = WeakKeyDictionary()


@asynccontextmanager
async def running(
    workspace: Workspace, size: tuple[int, int] = (100, 30), **options: Any
) -> AsyncIterator[tuple[CogtuiApp, AppPilot]]:
    """The app on a workspace, with its first poll over."""
    options.setdefault("opener", indexed(workspace))
    app = make_app(workspace, **options)
    async with started(app, size) as pilot:
        if not options.get("browse_only"):
            await until(pilot, lambda: app.context.snapshot.read)
        yield app, pilot


@asynccontextmanager
async def started(app: CogtuiApp, size: tuple[int, int] = (100, 30)) -> AsyncIterator[AppPilot]:
    """The app, started and settled, with what it notifies of kept for `notices`."""
    kept = _NOTICES[app] = []

    def keep(message: Message) -> None:
        if isinstance(message, Notify):
            kept.append(message.notification.message)

    async with app.run_test(size=size, message_hook=keep) as pilot:
        await settle(pilot)
        yield pilot


def notices(app: CogtuiApp) -> list[str]:
    """The texts of all notifications of a started app, in order."""
    return _NOTICES[app]


def indexed(workspace: Workspace) -> Callable[[], Store]:
    """Opens the index with all that is there; unlike the app's own, no process then follows what comes."""

    def opener() -> Store:
        store = open_store(workspace)
        store.ingest()
        return store

    return opener


async def settle(pilot: AppPilot) -> None:
    """Waits until no worker runs and every message that this led to is handled."""
    quiet = 0
    while quiet < 3:
        await pilot.pause()
        running = [worker for worker in pilot.app.workers if not worker.is_finished]
        quiet = 0 if running else quiet + 1
        for worker in running:
            with contextlib.suppress(WorkerCancelled):  # by a newer one of its group
                await worker.wait()


async def press(pilot: AppPilot, *keys: str) -> None:
    """Presses keys, letting the app settle after each."""
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


async def until(pilot: AppPilot, true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Polls until something is true; polling is what the app does every second, here without the wait."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return
        poll = getattr(pilot.app, "poll", None)
        if poll is not None:
            poll()
        await settle(pilot)
    raise AssertionError("it never came true")


def top(app: CogtuiApp, kind: type[S]) -> S:
    """The screen on top, which is one of a kind."""
    screen = app.screen
    assert isinstance(screen, kind), type(screen)
    return screen


def screen_text(app: CogtuiApp) -> str:
    """What stands on the screen: the text of every visible line of every visible widget."""
    texts = []
    for widget in app.screen.walk_children(Widget):
        if not widget.display or not widget.size.height:
            continue
        if isinstance(widget, TextRows | DetailPane):
            texts.append(widget.text)
        elif isinstance(widget, WrappedText):
            texts += [widget.render_line(y).text for y in range(widget.size.height)]
        elif isinstance(widget, LineView):
            texts += visible_lines(widget)
    return "\n".join(texts)


def visible_lines(view: LineView) -> list[str]:
    """The lines of a view that are on screen."""
    top = view.scroll_offset.y
    return [view.line_text(line) for line in range(top, min(view.line_count, top + view.size.height))]


def drawn(app: CogtuiApp) -> str:
    """The whole screen as the terminal gets it, styles left out."""
    width, height = app.size
    lines = app.screen._compositor.render_strips(app.size) if hasattr(app.screen._compositor, "render_strips") else []
    return "\n".join(strip.text[:width] for strip in lines[:height])
