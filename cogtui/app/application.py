"""The Textual application: modes, polling, themes, the palette, quitting."""

import asyncio
import contextlib
import os
import select
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, Monochrome
from textual.screen import Screen
from textual.signal import Signal
from textual.theme import Theme

from cogtui.app.mode_screens import ALL_MODES, BROWSING_MODES, MODE_SCREENS, freeze_garbage_collector, import_screens
from cogtui.app.palette_commands import available_commands
from cogtui.app.rendering.terminal_colors import PaletteFilter, color_depth
from cogtui.app.rendering.themes import THEMES, theme_variables
from cogtui.app.screen_opening import ScreenOpener
from cogtui.app.shell.context import Context
from cogtui.app.shell.screen_pool import ReusableScreen, ScreenPool
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.preferences import default_theme, read_preferences, remember
from pipelines.errors import CogtuiError, NotFound

if TYPE_CHECKING:
    from cogtui.store import Store

POLL_S = 1.0
_FRAME_S: Final = 1 / 60


class CogtuiApp(ScreenOpener):
    """The app on a workspace, or on opened files.

    Args:
        context: what its screens share; the app stops its threads when it ends.
        modes: titles of the modes to offer, the first one shown first.
    """

    CSS_PATH = "styles.tcss"
    TITLE = "cogtui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-high")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "Help"),
        Binding("colon", "command_palette", "Commands", show=False),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+z", "suspend_process", "Suspend (fg comes back)", show=False, priority=True),
        Binding("N", "launch", "Launch", show=False),
        *(
            Binding(str(number), f"mode('{title}')", title, show=False)
            for number, (title, _) in enumerate(MODE_SCREENS, start=1)
        ),
    ]

    def __init__(self, context: Context, modes: Iterable[str] = ALL_MODES) -> None:
        # Set first: the base class's constructor needs the theme's variables.
        self.context = context
        super().__init__()
        self.animation_level = "none"
        depth = color_depth(self.console.color_system, no_color=self.no_color)
        self._palette_filter = None if depth is None else PaletteFilter(depth)
        chosen = list(modes)
        self.modes_shown = tuple(
            (str(number), title) for number, (title, _) in enumerate(MODE_SCREENS, start=1) if title in chosen
        )
        self._first_mode = chosen[0]
        for title, screen in MODE_SCREENS:
            if title in chosen:
                self.add_mode(title, screen)
        for theme in THEMES:
            self.register_theme(theme)
        wanted = default_theme(remembered=read_preferences().get("theme", ""))
        chosen_theme = self.get_theme(wanted)
        # NO_COLOR with an ANSI theme gives black text on black.
        self._refused_theme = wanted if chosen_theme is None or (chosen_theme.ansi and self.no_color) else ""
        # Set before the CSS is parsed: each change of theme parses it again.
        self.set_reactive(App.theme, THEMES[0].name if self._refused_theme else wanted)
        self.stylesheet.set_variables(self.get_css_variables())
        self.snapshot_signal: Signal[WorkspaceSnapshot] = Signal(self, "snapshot")
        self.store_signal: Signal[int] = Signal(self, "store")
        self.screen_pool = ScreenPool(self)
        self._polling = False
        self._store_version = -1
        self._store_asked = False
        self._problems: dict[str, str] = {}
        self._has_tried_reading = asyncio.Event()
        """Set once the workspace was read, or could not be."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        filters = super().get_line_filters()
        if self._palette_filter is None or self.current_theme.ansi:
            return filters
        # Without colour attributes stand for colours; Textual's own filter would still send greys.
        return [*(one for one in filters if not isinstance(one, Monochrome)), self._palette_filter]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return theme_variables(self.current_theme)

    def on_mount(self) -> None:
        if self._refused_theme:
            self.notify(f"theme {self._refused_theme!r} cannot be used here", severity="warning", markup=False)
        self.theme_changed_signal.subscribe(self, self._remember_theme)
        self.switch_mode(self._first_mode)
        self.set_interval(POLL_S, self.poll)
        # Paint before reading any file.
        self.call_after_refresh(self.set_timer, 0.05, self._first_painted)

    def _first_painted(self) -> None:
        self.poll()
        self.run_worker(self._import_in_background(), group="warm")

    async def _import_in_background(self) -> None:
        """Import what other screens need once the first one has its content, which this would delay by 0.3 s."""
        if self._reads_states:
            await self._has_tried_reading.wait()
            while any(worker.node is self.screen and not worker.is_finished for worker in self.workers):
                await asyncio.sleep(_FRAME_S)
            if self.context.snapshot.unread:
                self.poll()
        await self.context.work.call(lambda _: import_screens())
        freeze_garbage_collector()

    @property
    def _reads_states(self) -> bool:
        return any(title not in BROWSING_MODES for _, title in self.modes_shown)

    def poll(self) -> None:
        """Read the workspace and the index in the background, unless the previous read is still running."""
        if _is_terminal_closed():
            self.exit()
            return
        if not self._polling and self._reads_states:
            self._polling = True
            self.run_worker(self._read_states(), group="states")
        if not self._store_asked:
            self._store_asked = True
            self.run_worker(self._read_store_version(), group="store-version")

    async def _read_states(self) -> None:
        try:
            snapshot = await self.context.snapshots.call(lambda reader: reader.read())
        except (CogtuiError, OSError) as error:
            self._problem("workspace", f"the workspace cannot be read: {error}")
            stale = "workspace gone" if isinstance(error, NotFound) else "workspace unreadable"
            if self.context.snapshot.stale != stale:
                self._show_snapshot(replace(self.context.snapshot, stale=stale))
            return
        finally:
            self._polling = False
            self._has_tried_reading.set()
        self._problems.pop("workspace", None)
        if snapshot is self.context.snapshot:
            return  # nothing changed
        self._show_snapshot(snapshot)

    def _show_snapshot(self, snapshot: WorkspaceSnapshot) -> None:
        self.context.snapshot = snapshot
        self.snapshot_signal.publish(snapshot)

    async def _read_store_version(self) -> None:
        try:
            version = await self.context.store.call(_version_of)
        except (CogtuiError, OSError) as error:
            if isinstance(error, NotFound):
                self._problem("workspace", f"the workspace cannot be read: {error}")
            else:
                self._problem("index", f"the index cannot be opened: {error}")
            return
        finally:
            self._store_asked = False
        self._problems.pop("index", None)
        if version != self._store_version:
            self._store_version = version
            self.store_signal.publish(version)

    def _remember_theme(self, theme: Theme) -> None:
        self.run_worker(self._write_theme(theme.name), group="theme", exclusive=True)

    async def _write_theme(self, name: str) -> None:
        try:
            await self.context.work.call(lambda _: remember("theme", name))
        except OSError as error:
            self._problem("theme", f"the theme cannot be remembered: {error}")

    def _problem(self, what: str, text: str) -> None:
        if self._problems.get(what) != text:  # shown once, not at every poll
            self._problems[what] = text
            self.notify(text, severity="error", markup=False)

    def action_mode(self, title: str) -> None:
        """Show a mode as it was left; if it is shown already, return to its first screen."""
        if title not in [name for _, name in self.modes_shown]:
            return
        if self.current_mode == title:
            while len(self.screen_stack) > 1:
                self.pop_screen()
        else:
            self.switch_mode(title)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "launch":
            return "Experiments" in [title for _, title in self.modes_shown]
        return super().check_action(action, parameters)

    def pop_screen(self) -> AwaitComplete:
        left = self.screen
        popped = super().pop_screen()
        if isinstance(left, ReusableScreen):
            left.release()
        return popped

    def action_help(self) -> None:
        """Show the keys of the focused pane."""
        from cogtui.app.shell.help import HelpScreen, help_sections

        self.push_screen(HelpScreen(help_sections(self.screen)))

    def action_help_quit(self) -> None:
        """Quit on Ctrl-C; jobs keep running."""
        self.exit()

    def action_command_palette(self) -> None:
        """Open the palette, with a cursor that does not blink."""
        from textual.command import CommandPalette

        if not any(isinstance(screen, CommandPalette) for screen in self.screen_stack):
            self.run_worker(self._open_palette(), group="palette")

    async def _open_palette(self) -> None:
        from textual.command import CommandPalette
        from textual.widgets import Input

        palette = CommandPalette(id="--command-palette")
        await self.push_screen(palette)
        palette.query_one(Input).cursor_blink = False

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield the actions available at the focus, and the app's own commands."""
        yield from available_commands(self, screen)
        if self.check_action("launch", ()):
            yield SystemCommand(
                "New experiment: run or launch a recipe",
                "key N: choose a recipe, then its settings",
                self.action_launch,
            )
        yield SystemCommand("Theme (colours, light, dark, contrast)", "Change the colours", self.action_change_theme)

    def on_unmount(self) -> None:
        self.context.store.stop()
        self.context.snapshots.stop(0.2)
        self.context.work.stop(0.2)
        self.context.judging.stop(0.2)
        self.context.control.stop(0.2)


def _version_of(store: "Store") -> int:
    """Return the version of an index whose workspace is still there.

    Raises:
        NotFound: it was moved; lists could still be read, and no text.
    """
    if store.path is not None:
        store.workspace.require_still_there()
    return store.version()


def _is_terminal_closed() -> bool:
    """Return whether the terminal was closed. With SIGHUP ignored (nohup), Textual would otherwise loop at full CPU."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if not os.isatty(sys.__stdin__.fileno()):  # type: ignore[union-attr]
            return False
        watched = select.poll()
        watched.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in watched.poll(0))
    return False
