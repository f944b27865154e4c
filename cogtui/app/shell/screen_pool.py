"""Screens made once and opened again and again: making one takes longer than a key may."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from textual.app import App

from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.bars import TopBar

K = TypeVar("K", bound="ReusableScreen")


class ReusableScreen(AppScreen):
    """A screen that rests, mounted and laid out, while it is not open."""

    resting = True
    """Whether it may be opened for something else."""

    def begin(self, mode: str) -> None:
        """Takes it up for something new, of which nothing is known yet."""
        self.resting = False
        self.mode = mode
        self.query_one(TopBar).show_mode(mode)

    def rest(self) -> None:
        """It was left: nobody waits for what it was doing."""
        self.resting = True
        self.workers.cancel_node(self)


class ScreenPool:
    """The kept screens of an app. They stand in the mode Textual starts with, which nobody ever sees."""

    def __init__(self, app: App[None]) -> None:
        self._app = app
        self._screens: list[ReusableScreen] = []

    async def add(self, kind: type[K]) -> K:
        """Mounts a screen and lays it out, without showing it."""
        screen = kind()
        self._screens.append(screen)
        await self._app.push_screen(screen, mode=self._app.DEFAULT_MODE)
        screen.update_node_styles(animate=False)  # also of scrollbars, which the layout would do too late
        return screen

    async def prepare(self, *kinds: type[ReusableScreen]) -> bool:
        """Has at least one screen of each kind; whether one had to be made."""
        missing = [kind for kind in kinds if not any(type(screen) is kind for screen in self._screens)]
        for kind in missing:
            await self.add(kind)
        return bool(missing)

    async def open(self, kind: type[K], begin: Callable[[K], None]) -> None:
        """Shows a screen that rests, with something new, and paints it when there is something to see.

        Args:
            kind: of the screen.
            begin: tells the screen what to show; calls its `begin`.
        """
        screen = next((one for one in self._screens if type(one) is kind and one.resting), None) or await self.add(kind)
        begin(screen)
        self._app.push_screen(screen)
        screen.paint_when_filled()
