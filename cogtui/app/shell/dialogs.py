"""Dialogs: choose one of several, confirm, or enter a line of text."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.widgets.line_view import LineView, RowLines
from cogtui.app.widgets.text_rows import TextRows
from cogtui.app.widgets.wrapped_text import WrappedText, wrap_paragraph
from pipelines.errors import InvalidInput


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


_MOST_DETAILS: Final = 12
"""Rows of details that are shown without scrolling."""
_CONFIRM_WIDTH: Final = 72
"""Cells between the borders of a confirmation, where the terminal is wide enough."""


class DetailLines(RowLines):
    """The details of a question, where there are many."""

    TITLE = "list of details"


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
        question: Part = (printable_line(self.question), "heading")
        paragraphs: list[Part] = [(detail, "") for detail in self.details]
        width = min(_CONFIRM_WIDTH, self.app.size.width * 95 // 100 - 4)
        details = [row for paragraph in paragraphs for row in wrap_paragraph(paragraph, width, indent=2)]
        keys: list[Part] = [(" y ", "key"), ("yes   ", ""), (" n ", "key"), ("no", "")]
        with Vertical(classes="dialog confirm"):
            yield WrappedText(question, ("", ""))
            # Border, question, blank rows and keys stay visible on a small terminal.
            most = max(1, min(_MOST_DETAILS, self.app.size.height * 9 // 10 - 6))
            if len(details) <= most:
                yield WrappedText(*paragraphs, indent=2)
            else:
                keys.append((f"   {len(details):,} lines, arrows scroll", "dim"))
                listed = DetailLines(details)
                listed.styles.height = most
                yield listed
            yield _rows([[], keys])


def _rows(rows: list[list[Part]]) -> TextRows:
    line = TextRows()
    line.styles.height = len(rows)
    line.show_rows(rows)
    return line


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
            box.styles.height = "auto"
            yield WrappedText((printable_line(self.question), "heading"))
            entry = Input(self.text, select_on_focus=False)
            entry.cursor_blink = False  # an idle screen must send no bytes
            yield entry
            yield WrappedText(("Enter accepts, Esc cancels", "dim"), indent=1, widget_id="ask-help")

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        problem = self.wrong(event.value)
        if problem:
            self.query_one("#ask-help", WrappedText).show((problem, "bad"))
        else:
            self.dismiss(event.value)


def wrong_tags(text: str) -> str:
    """Return what is wrong with tags that a person typed; empty if nothing is."""
    from jobs.planning.experiment_notes import check_tag

    for tag in text.split():
        try:
            check_tag(tag)
        except InvalidInput as error:
            return f"{error}"
    return ""
