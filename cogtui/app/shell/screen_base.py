"""The base of all screens: top and key bar, going up, help, and results from background threads."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, TypeVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.signal import Signal
from textual.strip import Strip
from textual.timer import Timer

from cogtui.app.rendering.states import state_counts
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import shown
from cogtui.app.shell.clipboard import copy_to_tmux
from cogtui.app.shell.context import Context, SharesContext, shared
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.textual_compat.styled_widget import line_filter
from cogtui.app.widgets.bars import KeyBar, TopBar
from pipelines.errors import CogtuiError

R = TypeVar("R")


class AppScreen(DeferredPaintScreen):
    """One level of a mode. Subclasses implement `compose_body` and name their mode."""

    MODE: ClassVar[str] = ""
    """Title of the mode in the top bar, for screens that belong to one mode only."""
    HELP_TITLE: ClassVar[str] = ""
    """Name of the screen in help."""
    FOOTER: ClassVar[tuple[str, ...]] = ()
    """Keys shown first in the key bar, in this order; other keys follow."""
    CHORDS: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Sequences of two keys and their descriptions, for help."""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "up", "Up", show=False)]

    def __init__(self, path: str = "", *, mode: str = "") -> None:
        super().__init__()
        self.path = path
        self.mode = mode or self.MODE
        self._watches: list[tuple[Signal[Any], Callable[[Any], None]]] = []
        self._watching = False
        self._clock: Timer | None = None

    def render_lines(self, crop: Region) -> list[Strip]:
        # Only the background is visible between widgets, so one line serves all.
        return [line_filter(self)(Strip.blank(crop.width, self.visual_style.rich_style))] * crop.height

    @property
    def shared(self) -> SharesContext:
        """The app, typed as what screens use of it."""
        return shared(self.app)

    @property
    def context(self) -> Context:
        """Workspace, snapshot and background threads."""
        return self.shared.context

    def compose(self) -> ComposeResult:
        # Textual sets these classes after the first layout, and then styles, lays out and paints everything again.
        width, height = self.app.size
        for limits, cells in ((self.app.HORIZONTAL_BREAKPOINTS, width), (self.app.VERTICAL_BREAKPOINTS, height)):
            self.add_class(max((limit, name) for limit, name in limits or () if limit <= cells)[1], update=False)
        yield TopBar(self.shared.modes_shown, self.mode, self.path, self.context.title)
        yield from self.compose_body()
        yield KeyBar()

    @on(events.Mount)
    def _follow_counts(self) -> None:
        self.watch_signal(self.shared.snapshot_signal, self._show_counts)
        self._show_counts(self.context.snapshot)

    def _show_counts(self, snapshot: WorkspaceSnapshot) -> None:
        for bar in self.query(TopBar):
            stale: list[Part] = [(f"✗ {snapshot.stale}  ", "bad")] if snapshot.stale else []
            bar.show_counts([*stale, *([] if snapshot.unread else state_counts(snapshot.states))])

    def compose_body(self) -> ComposeResult:
        """Return the widgets between the bars."""
        raise NotImplementedError

    def show_pane_class(self, panes: Iterable[str], shown: str) -> None:
        """Show one of several panes on a narrow screen; restyle the screen only if the pane changes."""
        wanted = f"-pane-{shown}"
        if not self.has_class(wanted):
            self.remove_class(*(f"-pane-{pane}" for pane in panes), update=False)
            self.add_class(wanted)

    def watch_signal(self, signal: "Signal[R]", callback: Callable[[R], None]) -> None:
        """Call back at each publication while this screen is on top.

        Textual repaints the top screen whenever a covered one handles a message. A covered screen is therefore
        unsubscribed and catches up when it is on top again.
        """
        self._watches.append((signal, callback))
        signal.subscribe(self, callback)
        self._watching = True

    def call_every(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call back at intervals while this screen is on top. One interval per screen."""
        self._clock = self.set_interval(seconds, callback)

    def catch_up(self) -> None:
        """Handle what was published while the screen was covered."""

    @on(events.ScreenSuspend)
    def _screen_suspended(self) -> None:
        for signal, _ in self._watches:
            signal.unsubscribe(self)
        self._watching = False
        if self._clock is not None:
            self._clock.pause()

    @on(events.ScreenResume)
    def _screen_resumed(self) -> None:
        if not self._watching and self._watches:
            for signal, callback in self._watches:
                signal.subscribe(self, callback)
            self._watching = True
            self._show_counts(self.context.snapshot)
            self.catch_up()
        if self._clock is not None:
            self._clock.resume()

    async def fetch(self, result: Awaitable[R]) -> R | None:
        """Await a result from the background; show an error and return None if it failed.

        Raises:
            CancelledError: the screen was removed meanwhile.
        """
        try:
            answer = await result
        except CogtuiError as error:
            self._check_attached()
            self.show_error(error)
            return None
        except (OSError, sqlite3.Error) as error:
            self._check_attached()
            self.show_error(CogtuiError(f"{type(error).__name__}: {error}"))
            return None
        self._check_attached()
        return answer

    def _check_attached(self) -> None:
        # Textual removes a screen's widgets before it cancels the screen's workers.
        if not self.is_attached or not self.query(KeyBar):
            raise asyncio.CancelledError

    def show_error(self, error: CogtuiError) -> None:
        """Show an error and its remedy."""
        self.show_message(str(error), bad=True)

    def show_message(self, text: str, *, bad: bool = False) -> None:
        """Show a short message for a few seconds."""
        lines = "\n".join(shown(line) for line in text.splitlines()[:6])
        self.app.notify(lines, severity="error" if bad else "information", timeout=8 if bad else 4, markup=False)

    def shows_key(self, action: str) -> bool:
        """Return whether an action does something now; the key bar and the palette leave it out otherwise.

        Its key still works, and says why nothing happens.
        """
        return True

    def action_up(self) -> None:
        """Go one level up; does nothing on the lowest screen of a mode."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    def copy(self, text: str, what: str) -> None:
        """Copy a text: inside tmux to its buffer, else to the terminal's clipboard; say which."""
        self.run_worker(self._copy(text.encode("utf-8", "replace").decode("utf-8"), what), group="copy")

    async def _copy(self, text: str, what: str) -> None:
        if await self.context.work.call(lambda _: copy_to_tmux(text)):
            self.show_message(f"copied {what} to tmux's buffer; prefix ] pastes it")
            return
        self.app.copy_to_clipboard(text)
        self.show_message(f"sent {what} to the terminal's clipboard (OSC 52; some terminals refuse it)")
