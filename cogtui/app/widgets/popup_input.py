"""An input that is visible only while it is used, does not blink, and says what is wrong with its text."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from cogtui.app.widgets.panel import escape_title


class PopupInput(Input):
    """An input at the bottom of a screen: hidden until `open`. Esc hides it; after Enter, its screen closes it, or
    shows what is wrong with the text, which stays to be corrected.
    """

    DEFAULT_CSS = """
    PopupInput { display: none; height: 1; border: none; padding: 0 1; background: $panel; }
    PopupInput:focus { border: none; }
    PopupInput.open { display: block; }
    PopupInput.wrong, PopupInput.wrong:focus {
        height: 2; border-bottom: solid $error; border-subtitle-color: $error; border-subtitle-align: left;
    }
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
        self.show_problem("")
        self.add_class("open")
        self.value = text
        self.cursor_position = len(text)
        self.focus()

    def close(self) -> None:
        """Hide the input."""
        self.remove_class("open")

    def show_problem(self, problem: str) -> None:
        """Show below the text what is wrong with it; an empty problem removes that line."""
        self.set_class(bool(problem), "wrong")
        self.border_subtitle = escape_title(problem)

    @property
    def problem(self) -> str:
        """What is wrong with the text, as shown."""
        return str(self.border_subtitle or "").replace("\\[", "[")

    @on(Input.Changed)
    def _edited(self) -> None:
        self.show_problem("")

    def action_abandon(self) -> None:
        """Cancel without a change."""
        self.close()
        self.post_message(self.InputCancelled(self))
