"""Screens that are created once and reused, because creating one takes 2.4 times as long as opening it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from textual.app import App

from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.bars import TopBar

K = TypeVar("K", bound="ReusableScreen")


class ReusableScreen(AppScreen):
    """A screen that stays mounted and laid out while it is closed."""

    is_available = True
    """Whether the screen is closed and can be opened for something else."""

    def begin(self, mode: str) -> None:
        """Prepare the screen for new content."""
        self.is_available = False
        self.mode = mode
        self.query_one(TopBar).show_mode(mode)

    def release(self) -> None:
        """Release the screen: cancel its workers and make it available."""
        self.is_available = True
        self.workers.cancel_node(self)


class ScreenPool:
    """The reusable screens of an app. They are kept in Textual's default mode, which is never shown."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._screens: list[ReusableScreen] = []

    async def add(self, kind: type[K]) -> K:
        """Mount a screen and lay it out without showing it."""
        screen = kind()
        self._screens.append(screen)
        await self._app.push_screen(screen, mode=self._app.DEFAULT_MODE)
        screen.update_node_styles(animate=False)  # scrollbars too, which the layout would style too late
        return screen

    async def prepare(self, *kinds: type[ReusableScreen]) -> bool:
        """Ensure that there is a screen of each kind; return whether one had to be created."""
        missing = [kind for kind in kinds if not any(type(screen) is kind for screen in self._screens)]
        for kind in missing:
            await self.add(kind)
        return bool(missing)

    async def open(self, kind: type[K], begin: Callable[[K], None]) -> None:
        """Show a closed screen with new content, and paint it when its content is loaded.

        Args:
            kind: of the screen.
            begin: tells the screen what to show; calls its `begin`.
        """
        screen = next((one for one in self._screens if type(one) is kind and one.is_available), None) or await self.add(
            kind
        )
        begin(screen)
        self._app.push_screen(screen)
        screen.paint_when_filled()
