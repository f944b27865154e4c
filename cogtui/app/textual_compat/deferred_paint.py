"""Screens that are painted once, after layout and data are ready.

Textual paints a screen three to five times while its widgets are mounted, laid out and filled. Private parts of Textual
used here: `Screen._refresh_layout`, `Widget._layout_required`.
"""

import asyncio
import contextlib
from itertools import takewhile
from typing import Any, Final

from textual import events, on
from textual.screen import Screen
from textual.worker import Worker

_FRAME_S: Final = 1 / 60
_MAX_DATA_WAIT_S: Final = 0.1
"""Seconds that a laid-out screen waits for its data before it is painted without them."""
_MAX_LAYOUTS: Final = 2
_PAINT_GROUP: Final = "deferred-paint"


class DeferredPaintScreen(Screen[Any]):
    """A screen that is not painted before its widgets are mounted, laid out and, as a rule, filled with data."""

    _may_paint = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._workers_finished = asyncio.Event()

    @property
    def is_current(self) -> bool:
        """Whether the screen is visible; Textual paints and lays out a screen only then.

        Textual's own property is true for a screen below another one, whatever covers it, and then repaints the upper
        screen for each change of the lower one.
        """
        if not self._may_paint or not super().is_current:
            return False
        above = takewhile(lambda screen: screen is not self, reversed(self.app.screen_stack))
        return all(screen.styles.background.a < 1 for screen in above)

    @on(events.Mount)
    def _lay_out_after_mount(self) -> None:
        self.app.call_later(self._lay_out)  # after the callbacks that mounting scheduled

    def _lay_out(self) -> None:
        self._refresh_layout(self.app.size)
        self.paint_when_filled()

    def _has_running_workers(self) -> bool:
        return any(one.node is self and one.group != _PAINT_GROUP and not one.is_finished for one in self.workers)

    @on(Worker.StateChanged)
    def _worker_changed(self) -> None:
        if not self._has_running_workers():
            self._workers_finished.set()

    def paint_when_filled(self) -> None:
        """Paint the screen when its workers, which load its data, have finished, or after 0.1 s in any case."""
        self._defer_paint(wait_for_workers=True)

    def paint_changes_once(self) -> None:
        """Paint the changes of this frame and the layout that follows from them in one repaint."""
        if self._may_paint:
            self._defer_paint(wait_for_workers=False)

    def _defer_paint(self, *, wait_for_workers: bool) -> None:
        self._may_paint = False
        self.run_worker(self._paint_later(wait_for_workers=wait_for_workers), group=_PAINT_GROUP, exclusive=True)

    async def _paint_later(self, *, wait_for_workers: bool) -> None:
        # One frame at least: by then the widgets have requested what follows from their new sizes.
        await asyncio.sleep(_FRAME_S)
        if wait_for_workers and self._has_running_workers():
            self._workers_finished.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._workers_finished.wait(), _MAX_DATA_WAIT_S)
        for _ in range(_MAX_LAYOUTS):
            # Layouts after the first paint would each repaint. A changed size causes another layout a frame later.
            if not self._layout_required or self.size != self.app.size:
                break
            self._layout_required = False
            self._refresh_layout(self.app.size)
            await asyncio.sleep(_FRAME_S)
        self._may_paint = True
        self.refresh()
