"""An input that is visible only while it is used, and does not blink."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class PopupInput(Input):
    """An input at the bottom of a screen: hidden until `open`; Enter or Esc hides it again."""

    DEFAULT_CSS = """
    PopupInput { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    PopupInput:focus { border: none; }
    PopupInput.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Apply"),
        Binding("escape", "abandon", "Cancel"),
    ]

    class InputCancelled(Message):
        """Esc: the user cancelled."""

        def __init__(self, entry: "PopupInput") -> None:
            super().__init__()
            self.entry = entry

        @property
        def control(self) -> "PopupInput":
            return self.entry

    def __init__(self, hint: str, widget_id: str | None = None) -> None:
        super().__init__(placeholder=hint, id=widget_id, select_on_focus=False)
        self.cursor_blink = False  # an idle screen must send no bytes

    def open(self, text: str = "") -> None:
        """Show the input with a text to edit."""
        self.add_class("open")
        self.value = text
        self.cursor_position = len(text)
        self.focus()

    def close(self) -> None:
        """Hide the input."""
        self.remove_class("open")

    def action_abandon(self) -> None:
        """Cancel without a change."""
        self.close()
        self.post_message(self.InputCancelled(self))
