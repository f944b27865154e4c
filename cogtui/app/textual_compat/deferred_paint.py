"""Screens that are painted when they are there: Textual would paint one it still makes three to five times."""

import asyncio
import contextlib
from itertools import takewhile
from typing import Any, Final

from textual import events, on
from textual.screen import Screen
from textual.worker import Worker

_FRAME_S: Final = 1 / 60
_TOGETHER_S: Final = 0.1
"""How long a screen that is laid out waits for what it shows before it is painted without."""
_LAYOUTS: Final = 2
_GROUP: Final = "appear"


class DeferredPaintScreen(Screen[Any]):
    """A screen of which nothing is painted before its widgets are mounted, laid out and, as a rule, filled."""

    _is_painted = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._filled = asyncio.Event()

    @property
    def is_current(self) -> bool:
        """Whether it is seen; Textual paints and lays out only then.

        By itself it would take one below for seen whatever covers it, and paint the upper one again for its sake.
        """
        if not self._is_painted or not super().is_current:
            return False
        above = takewhile(lambda screen: screen is not self, reversed(self.app.screen_stack))
        return all(screen.styles.background.a < 1 for screen in above)

    @on(events.Mount)
    def _mounted(self) -> None:
        self.app.call_later(self._lay_out)  # behind what is asked for while it is mounted

    def _lay_out(self) -> None:
        self._refresh_layout(self.app.size)
        self.appear_when_filled()

    def _filling(self) -> bool:
        return any(one.node is self and one.group != _GROUP and not one.is_finished for one in self.workers)

    @on(Worker.StateChanged)
    def _worker_changed(self) -> None:
        if not self._filling():
            self._filled.set()

    def appear_when_filled(self) -> None:
        """Paints it when its workers are done, which bring what it shows, or after a moment in any case."""
        self._appear_after(filled=True)

    def paint_together(self) -> None:
        """Paints once what changes now and what follows from it within a frame, such as another layout."""
        if self._is_painted:
            self._appear_after(filled=False)

    def _appear_after(self, *, filled: bool) -> None:
        self._is_painted = False
        self.run_worker(self._appear(filled=filled), group=_GROUP, exclusive=True)

    async def _appear(self, *, filled: bool) -> None:
        # A frame at least: by then its widgets have asked for what follows from the sizes they now have.
        await asyncio.sleep(_FRAME_S)
        if filled and self._filling():
            self._filled.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._filled.wait(), _TOGETHER_S)
        for _ in range(_LAYOUTS):
            # Not after it is seen: each would paint it. Sizes that change lead to another layout, a frame later.
            if not self._layout_required or self.size != self.app.size:
                break
            self._layout_required = False
            self._refresh_layout(self.app.size)
            await asyncio.sleep(_FRAME_S)
        self._is_painted = True
        self.refresh()
