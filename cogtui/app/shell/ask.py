"""A dialog that asks for a line of text."""

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from cogtui.app.rendering.text import one_line
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.widgets.text_line import TextLine


class AskScreen(ModalScreen[str | None], DeferredPaintScreen):
    """Asks for a text; the result is None if the user cancelled.

    Args:
        question: what is asked.
        text: to begin with.
        wrong: says what is wrong with a text, or nothing; a wrong one cannot be entered.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, text: str = "", *, wrong: Callable[[str], str] = lambda _: "") -> None:
        super().__init__()
        self.question = question
        self.text = text
        self.wrong = wrong

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog choice") as box:
            box.styles.height = 5
            yield TextLine((one_line(self.question), "heading"))
            entry = Input(self.text, select_on_focus=False)
            entry.cursor_blink = False  # an idle screen must send no bytes
            yield entry
            yield TextLine((" Enter accepts, Esc cancels", "dim"), widget_id="ask-help")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        problem = self.wrong(event.value)
        if problem:
            self.query_one("#ask-help", TextLine).show((f" {one_line(problem, 200)}", "bad"))
        else:
            self.dismiss(event.value)
