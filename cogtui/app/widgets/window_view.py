"""A list of which only a window is loaded: it asks for more when the cursor nears an end of it."""

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from cogtui.app.widgets.line_view import LineView


class WindowView(LineView):
    """Base of views whose lines come in pieces from a file or an index.

    There is no scrollbar: how long the whole is, nobody may know yet.
    """

    DEFAULT_CSS = "WindowView { scrollbar-size-vertical: 0; }"
    EDGE: ClassVar[int] = 60
    """How near to an end more is asked for, in lines."""
    BINDINGS: ClassVar[list[BindingType]] = []

    class Edge(Message):
        """More lines are wanted: `direction` -1 above, 1 below."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    class End(Message):
        """The end of the whole is wanted."""

    class Start(Message):
        """The start of the whole is wanted."""

    def action_first(self) -> None:
        """Goes to the start of the whole."""
        self.post_message(self.Start())

    def action_last(self) -> None:
        """Goes to the end of the whole."""
        self.post_message(self.End())

    def watch_cursor(self, before: int, now: int) -> None:
        super().watch_cursor(before, now)
        self.ask_for_more()

    def ask_for_more(self) -> None:
        """Asks for what lies beyond an end that the cursor is near to."""
        if self.cursor < self.EDGE:
            self.post_message(self.Edge(-1))
        if self.cursor >= self.line_count - self.EDGE:
            self.post_message(self.Edge(1))
