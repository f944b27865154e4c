"""A list of which only a window is loaded; it requests more when the cursor nears an end."""

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from cogtui.app.widgets.line_view import LineView


class WindowView(LineView):
    """Base of views whose lines are loaded in pages from a file or an index.

    There is no scrollbar, because the total may be unknown.
    """

    DEFAULT_CSS = "WindowView { scrollbar-size-vertical: 0; }"
    EDGE: ClassVar[int] = 60
    """Distance from an end, in lines, at which more lines are requested."""
    BINDINGS: ClassVar[list[BindingType]] = []

    class Edge(Message):
        """More lines are needed: `direction` -1 above, 1 below."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    class End(Message):
        """The user asked for the end of the whole."""

    class Start(Message):
        """The user asked for the start of the whole."""

    def action_first(self) -> None:
        """Go to the start of the whole."""
        self.post_message(self.Start())

    def action_last(self) -> None:
        """Go to the end of the whole."""
        self.post_message(self.End())

    def watch_cursor(self, before: int, now: int) -> None:
        super().watch_cursor(before, now)
        self.ask_for_more()

    def ask_for_more(self) -> None:
        """Request more lines if the cursor is near an end."""
        if self.cursor < self.EDGE:
            self.post_message(self.Edge(-1))
        if self.cursor >= self.line_count - self.EDGE:
            self.post_message(self.Edge(1))
