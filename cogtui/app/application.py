"""The Textual application: modes, polling, the palette, opening screens, quitting."""

import asyncio
import contextlib
import gc
import os
import select
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from textual import on
from textual.app import App, SystemCommand
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.filter import LineFilter, Monochrome
from textual.screen import Screen
from textual.signal import Signal
from textual.theme import Theme

from cogtui.app.experiments.screen import ExperimentsScreen
from cogtui.app.rendering.terminal_colors import PaletteFilter, color_depth
from cogtui.app.rendering.themes import THEMES, theme_variables
from cogtui.app.shell.context import Context
from cogtui.app.shell.opening import (
    OpenAdjudication,
    OpenAnnotation,
    OpenComparison,
    OpenLaunch,
    OpenReader,
    OpenRolloutList,
    PrepareReaders,
    ShowExperiment,
)
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.shell.screen_pool import ReusableScreen, ScreenPool
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.preferences import default_theme, read_preferences, remember
from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.files import expand_user

if TYPE_CHECKING:
    from cogtui.store import Store

POLL_S = 1.0
_FRAME_S: Final = 1 / 60


def _make_jobs() -> AppScreen:
    from cogtui.app.jobs.screen import JobsScreen

    return JobsScreen()


def _make_traces() -> AppScreen:
    from cogtui.app.traces.list.screen import TracesScreen

    return TracesScreen()


def _make_curves() -> AppScreen:
    from cogtui.app.curves.screen import CurvesScreen

    return CurvesScreen()


def _make_judges() -> AppScreen:
    from cogtui.app.judges.screen import JudgesScreen

    return JudgesScreen()


MODE_SCREENS: tuple[tuple[str, Callable[[], AppScreen]], ...] = (
    ("Experiments", ExperimentsScreen),
    ("Jobs", _make_jobs),
    ("Traces", _make_traces),
    ("Curves", _make_curves),
    ("Judges", _make_judges),
)
"""The modes in the order of their number keys; a screen is created when its mode is first shown."""
ALL_MODES = tuple(title for title, _ in MODE_SCREENS)
BROWSING_MODES = ("Traces", "Judges")
"""The modes that need no stages, offered for opened files."""


class CogtuiApp(App[None]):
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
        await self.context.work.call(lambda _: _import_screens())
        _freeze_garbage_collector()

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

    @on(OpenReader)
    async def _open_trace(self, message: OpenReader) -> None:
        from cogtui.app.traces.reader.screen import TraceScreen

        opener = message.opener
        if opener is self.screen:
            await self.screen_pool.open(
                TraceScreen,
                lambda screen: screen.read(opener.mode, message.list_query, message.rollout, message.on_close),
            )

    @on(OpenComparison)
    async def _open_compare(self, message: OpenComparison) -> None:
        from cogtui.app.traces.compare.screen import CompareScreen

        opener = message.opener
        if opener is self.screen:
            await self.screen_pool.open(
                CompareScreen, lambda screen: screen.read(opener.mode, message.left, message.right)
            )

    @on(OpenRolloutList)
    def _open_traces(self, message: OpenRolloutList) -> None:
        from cogtui.app.traces.list.screen import TracesScreen

        if message.opener is self.screen:
            self.push_screen(TracesScreen(mode=message.opener.mode, path=message.path, scope=message.scope))

    @on(OpenAnnotation)
    def _open_annotation(self, message: OpenAnnotation) -> None:
        from cogtui.app.annotation.screen import AnnotateScreen

        opener = message.opener
        if opener is self.screen:
            self.push_screen(
                AnnotateScreen(
                    opener.mode, message.order, message.rollout, judge=message.judge_run, on_close=message.on_close
                )
            )

    @on(OpenAdjudication)
    def _open_adjudication(self, message: OpenAdjudication) -> None:
        from cogtui.app.annotation.adjudication_screen import AdjudicateScreen

        if message.opener is self.screen:
            self.push_screen(AdjudicateScreen(message.opener.mode, message.ids, message.rollout, message.on_close))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "launch":
            return "Experiments" in [title for _, title in self.modes_shown]
        return super().check_action(action, parameters)

    def action_launch(self) -> None:
        """Choose a recipe, then open the launch screen."""
        if isinstance(self.screen, AppScreen):
            self.run_worker(self._choose_recipe(self.screen), group="launch", exclusive=True)

    async def _choose_recipe(self, opener: AppScreen) -> None:
        from cogtui.app.launch.choice import recipe_options
        from cogtui.app.shell.dialogs import AskScreen, ChoiceScreen

        experiments = self.context.snapshot.experiments
        options = await opener.fetch(self.context.work.call(lambda _: recipe_options(experiments)))
        if options is None or self.screen is not opener:
            return

        def named(path: str | None) -> None:
            if path:
                self.post_message(OpenLaunch(opener, Path(path).expanduser().absolute()))

        def chosen(index: int | None) -> None:
            option = None if index is None else options[index]
            if option is None:
                return
            if option.recipe is None and option.experiment is None:
                self.push_screen(AskScreen("Which recipe? The path of a TOML file.", wrong=_wrong_file), named)
            else:
                self.post_message(OpenLaunch(opener, option.recipe, option.experiment))

        self.push_screen(ChoiceScreen("Which recipe?", [option.label for option in options]), chosen)

    @on(OpenLaunch)
    async def _open_launch(self, message: OpenLaunch) -> None:
        from cogtui.app.launch.draft import LaunchDraft
        from cogtui.app.launch.preview import recipe_of
        from cogtui.app.launch.screen import LaunchScreen

        opener, experiment, recipe = message.opener, message.experiment, message.recipe
        if opener is not self.screen:
            return
        if experiment is not None:
            workspace = self.context.workspace
            found = await opener.fetch(self.context.work.call(lambda _: recipe_of(experiment, workspace)))
            if found is not None and opener is self.screen:
                self.push_screen(LaunchScreen(*found))
        elif recipe is not None:
            self.push_screen(LaunchScreen(LaunchDraft(recipe)))

    @on(ShowExperiment)
    def _show_experiment(self, message: ShowExperiment) -> None:
        if message.opener is not self.screen:
            return
        self.pop_screen()
        if self.current_mode != "Experiments":
            self.switch_mode("Experiments")
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if isinstance(self.screen, ExperimentsScreen):
            self.screen.select_experiment(message.name)
        self.poll()

    @on(PrepareReaders)
    async def _prepare_reading(self) -> None:
        from cogtui.app.traces.compare.screen import CompareScreen
        from cogtui.app.traces.reader.screen import TraceScreen

        if await self.screen_pool.prepare(TraceScreen, CompareScreen):
            _freeze_garbage_collector()  # once: objects of screens opened later must stay collectable

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
        seen: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            name = command_name(binding.description)
            useful = not isinstance(screen, AppScreen) or screen.shows_key(binding.action)
            if name and useful and not binding.system and active.enabled and name not in seen:
                seen.add(name)
                yield SystemCommand(
                    name,
                    f"key {binding.key_display or binding.key}",
                    _runner(self, binding.action, active.node),
                )
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


_LATER_SCREENS: Final = (
    "cogtui.app.jobs.screen",
    "cogtui.app.stages.log_screen",
    "cogtui.app.traces.list.screen",
    "cogtui.app.traces.reader.screen",
    "cogtui.app.curves.screen",
    "cogtui.app.judges.screen",
    "cogtui.app.launch.screen",
    "cogtui.app.launch.scripts_screen",
    "cogtui.app.launch.choice",
    "cogtui.app.shell.help",
)


_MOVES: Final = frozenset(
    {
        "Next line", "Previous line", "Page down", "Page up", "First line", "Last line", "Focus Next", "Focus Previous",
        "Copy selected text", "Up", "Commands",
    }
)  # fmt: skip
"""Descriptions of keys that move, which nobody looks for in the palette."""
_WORDS: Final = {
    "Cancel": "stop, kill",
    "Choose an experiment": "switch, open",
    "Clone with changes": "copy, edit, again",
    "Compare": "tables, claims, diff",
    "Experiments": "overview, matrix, home",
    "Export": "save, SVG, PNG, CSV",
    "Filter": "search, find, where",
    "Help": "keys, shortcuts",
    "Histogram": "distribution",
    "Jobs": "queue, stages, Slurm",
    "Judges": "agreement, annotators",
    "Curves": "charts, plots, metrics",
    "Log": "output, stderr, error",
    "Note": "comment",
    "Quit": "exit, leave",
    "Report": "page, HTML, publish, share",
    "Search all logs": "grep, find",
    "Start again": "retry, rerun, resume",
    "Start all failed": "retry failed",
    "Tags": "label",
    "Traces": "rollouts, completions",
}
"""Further words under which the palette finds an action."""


def command_name(description: str) -> str:
    """Return the name of an action in the palette, with the words people use for it; empty for keys that move."""
    if not description or description in _MOVES:
        return ""
    words = _WORDS.get(description)
    return description if words is None else f"{description} ({words})"


def _wrong_file(text: str) -> str:
    try:
        return "" if expand_user(Path(text)).is_file() else f"there is no file {text}"
    except InvalidInput as error:
        return error.summary


def _import_screens() -> None:
    """Import the modules of other screens in a thread, so that opening them later takes no time."""
    for module in _LATER_SCREENS:
        import_module(module)


def _freeze_garbage_collector() -> None:
    """Exclude current objects from garbage collection, which otherwise takes 100 ms per full pass."""
    gc.freeze()


def _runner(app: CogtuiApp, action: str, node: object) -> Callable[[], None]:
    def run() -> None:
        app.run_worker(app.run_action(action, node), group="palette")  # type: ignore[arg-type]

    return run


def _is_terminal_closed() -> bool:
    """Return whether the terminal was closed. With SIGHUP ignored (nohup), Textual would otherwise loop at full CPU."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if not os.isatty(sys.__stdin__.fileno()):  # type: ignore[union-attr]
            return False
        watched = select.poll()
        watched.register(sys.__stdin__.fileno(), 0)  # type: ignore[union-attr]
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in watched.poll(0))
    return False
