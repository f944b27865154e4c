"""Dialogs: choose one of several, confirm, or enter a line of text."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.widgets.line_view import LineView
from cogtui.app.widgets.text_rows import TextRows


class ChoiceLines(LineView):
    """The choices."""

    TITLE = "choice"

    def __init__(self, choices: Sequence[str], now: int) -> None:
        super().__init__()
        self._choices = [printable_line(choice, 300) for choice in choices]
        self.set_reactive(LineView.cursor, now)

    @property
    def line_count(self) -> int:
        return len(self._choices)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        return [(fit(self._choices[line], width), "")]


class ChoiceScreen(ModalScreen[int | None], DeferredPaintScreen):
    """Asks for one of several choices; the result is its index, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss(None)", "Cancel")]

    def __init__(self, question: str, choices: Sequence[str], now: int = 0) -> None:
        super().__init__()
        self.question = question
        self.choices = choices
        self.now = now

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog choice") as box:
            box.styles.height = min(len(self.choices) + 3, 20)
            yield TextRows((printable_line(self.question), "heading"))
            yield ChoiceLines(self.choices, self.now)

    @on(LineView.LineSelected)
    def _chosen(self, event: LineView.LineSelected) -> None:
        event.stop()
        self.dismiss(event.line)


class ConfirmScreen(ModalScreen[bool], DeferredPaintScreen):
    """Asks for confirmation of an action that cannot be undone; only `y` confirms."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)", "Yes"),
        Binding("n,escape,enter,q", "dismiss(False)", "No"),
    ]

    def __init__(self, question: str, details: Sequence[str] = ()) -> None:
        super().__init__()
        self.question = question
        self.details = list(details)

    def compose(self) -> ComposeResult:
        rows: list[list[Part]] = [[(printable_line(self.question), "heading")], []]
        rows += [[(f"  {printable_line(detail, 200)}", "")] for detail in self.details[:12]]
        if len(self.details) > 12:
            rows.append([(f"  and {len(self.details) - 12} more", "dim")])
        rows += [[], [(" y ", "key"), ("yes   ", ""), (" n ", "key"), ("no", "")]]
        with Vertical(classes="dialog confirm") as box:
            box.styles.height = len(rows) + 2
            line = TextRows()
            line.styles.height = len(rows)
            line.show_rows(rows)
            yield line


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
            yield TextRows((printable_line(self.question), "heading"))
            entry = Input(self.text, select_on_focus=False)
            entry.cursor_blink = False  # an idle screen must send no bytes
            yield entry
            yield TextRows((" Enter accepts, Esc cancels", "dim"), widget_id="ask-help")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        problem = self.wrong(event.value)
        if problem:
            self.query_one("#ask-help", TextRows).show((f" {printable_line(problem, 200)}", "bad"))
        else:
            self.dismiss(event.value)
