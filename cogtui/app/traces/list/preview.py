"""The completion under the cursor of the list, with its spans, read a moment after the cursor came to rest."""

from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from cogtui.app.rendering.text import printable_line
from cogtui.app.rollout.trace_data import view_judge_run
from cogtui.app.rollout.trace_text import TraceText
from cogtui.app.shell.screen_base import AppScreen
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.panel import Panel
from cogtui.store import RolloutRow
from cogtui.store.values.import_facts import text_parts

_REST_S: Final = 0.12
"""Seconds without a move of the cursor before the completion is read, so that a held key stays fast."""


class PreviewPane(AppScreen):
    """A screen with a list and a preview, shown where there is room; `i` shows or hides it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("i", "preview", "Preview", show=False)]

    previewed: str | None = None
    """Id of the rollout that is shown."""
    _timer: Timer | None = None

    @property
    def rollout_here(self) -> RolloutRow | None:
        """The rollout under the cursor."""
        raise NotImplementedError

    def compose_preview(self) -> ComposeResult:
        """Return the pane."""
        with Panel(title="Completion", subtitle="Enter reads it", panel_id="preview-panel", text=True):
            text = TraceText()
            text.can_focus = False
            yield text

    @property
    def shows_preview(self) -> bool:
        """Whether the pane is on screen."""
        return bool(self.query_one("#preview-panel").size.height)

    def action_preview(self) -> None:
        """Show or hide the completion of the rollout under the cursor."""
        shown = self.shows_preview
        self.set_class(not shown, "-preview")
        self.set_class(shown, "-no-preview")
        self.call_after_refresh(self.preview_soon)

    @on(LineView.CursorMoved)
    def preview_soon(self) -> None:
        """Show the completion under the cursor once the cursor stops moving."""
        if self._timer is not None:
            self._timer.stop()
        row = self.rollout_here
        if self.shows_preview and (row.id if row is not None else None) != self.previewed:
            self._timer = self.set_timer(_REST_S, self._preview)

    def _preview(self) -> None:
        self.run_worker(self._read_preview(), group="preview", exclusive=True)

    async def _read_preview(self) -> None:
        row = self.rollout_here
        text = self.query_one("#preview-panel TraceText", TraceText)
        if row is None:
            self.previewed = None
            text.show_trace("", ())
            return
        detail = await self.fetch(self.context.store.call(lambda store: store.rollout_of(row)))
        if detail is None or self.rollout_here is None or self.rollout_here.id != row.id:
            return
        self.previewed = row.id
        view = view_judge_run(detail, 0, None)
        parts = text_parts(detail.meta, len(detail.completion))
        text.show_trace(detail.completion, view.spans, (), behaviors=view.behaviors, parts=parts)
        sign = "·" if row.correct is None else "✓ correct" if row.correct else "✗ wrong"
        panel = self.query_one("#preview-panel", Panel)
        panel.show_title(f"Completion · {printable_line(row.describe(), 60)} · {sign}")
