"""The filter bar of the list: shows the filter, edits it, and points at errors with a caret."""

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import printable_line, shown
from cogtui.app.textual_compat.deferred_paint import DeferredPaintScreen
from cogtui.app.traces.list.filter_completion import WordAtCursor, complete_word, find_word
from cogtui.app.widgets.popup_input import PopupInput
from cogtui.app.widgets.text_rows import TextRows
from cogtui.store.filter.lexer import FilterError
from cogtui.store.filter.parser import parse

_MOST_CANDIDATES = 30
_EXAMPLES = 'condition:all_strategies  step>=100  correct:false  backtracking>=2  text:"try again"  a OR b'


class FilterEntry(PopupInput):
    """The input of the filter bar."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete(1)", "Complete", priority=True),
        Binding("shift+tab", "complete(-1)", "Previous completion", priority=True, show=False),
    ]

    class CompletionRequested(Message):
        """Tab or Shift+Tab: the user asked for a completion, the next or the previous one."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    def action_complete(self, direction: int) -> None:
        """Request a completion of the word at the cursor."""
        self.post_message(self.CompletionRequested(direction))


class CompletionCycle(NamedTuple):
    """Several completions of one word, of which one stands in the text."""

    head: str
    """Text before the word."""
    options: tuple[str, ...]
    """The completions, and last the part that they share, as it was typed."""
    place: int
    tail: str

    @property
    def text(self) -> str:
        """The whole text, with the option in its place."""
        return self.head + self.options[self.place] + self.tail

    @property
    def cursor(self) -> int:
        """Where the cursor stands after the word."""
        return len(self.head) + len(self.options[self.place])


class FilterBar(Vertical):
    """One line when closed; an input with two lines of help while editing."""

    class FilterChanged(Message):
        """A valid filter was entered."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CandidatesRequested(Message):
        """A word is to be completed; the screen, which can query the index, calls `complete`."""

        def __init__(self, word: WordAtCursor) -> None:
            super().__init__()
            self.word = word

    class EditCancelled(Message):
        """Editing ended without a change."""

    def __init__(self, scope: str = "") -> None:
        super().__init__()
        self._scope = scope
        self._cycle: CompletionCycle | None = None

    def compose(self) -> ComposeResult:
        yield TextRows(*self._filter_parts(""), widget_id="filter-text")
        yield FilterEntry("filter, empty for everything", "filter-entry")
        yield TextRows(widget_id="filter-help")

    def show_filter(self, text: str) -> None:
        """Show the filter in force."""
        if self.has_class("open"):
            self._paint_changes_once()
        self.remove_class("open")
        self.query_one("#filter-entry", PopupInput).close()
        self.query_one("#filter-text", TextRows).show(*self._filter_parts(text))

    def _filter_parts(self, text: str) -> list[Part]:
        """Return what limits the list: the scope it was opened with, then the filter."""
        parts: list[Part] = []
        if self._scope:
            parts += [(" within  ", "dim"), (printable_line(self._scope, 200), "")]
        if text:
            return [*parts, (" filter  ", "dim"), (printable_line(text), "strong")]
        return [*parts, (" no filter; / to type one" if not self._scope else "  / filters further", "dim")]

    def open(self, text: str) -> None:
        """Start editing."""
        self._paint_changes_once()
        self.add_class("open")
        self.query_one("#filter-entry", PopupInput).open(text)
        self._check(text)

    def _paint_changes_once(self) -> None:
        # Opening changes the lines of the bar, the height of the list and the focus: three repaints otherwise.
        if isinstance(self.screen, DeferredPaintScreen):
            self.screen.paint_changes_once()

    @on(Input.Changed, "#filter-entry")
    def _edited(self, event: Input.Changed) -> None:
        self._check(event.value)

    def _check(self, text: str, *, entered: bool = False) -> bool:
        """Parse the text and show what is wrong with it, without emphasis while it is being typed."""
        help_line = self.query_one("#filter-help", TextRows)
        try:
            parse(text)
        except FilterError as error:
            left = cell_len(shown(text[: error.start])) - self.query_one(FilterEntry).scroll_offset.x
            caret = " " * max(0, left) + "^" * max(1, cell_len(shown(text[error.start : error.end])))
            message = shown(f"{error.message}. {error.remedy}".rstrip())
            help_line.show_rows([[(f" {caret}", "bad")], [(f" {message}", "bad" if entered else "dim")]])
            return False
        help_line.show_rows([[(" Enter applies, Tab completes, Esc cancels", "dim")], [(f" {_EXAMPLES}", "dim")]])
        return True

    def show_candidates(self, found: Sequence[str], chosen: int = -1) -> None:
        """Show the candidates for the word at the cursor, the chosen one marked."""
        told = " completions; Tab goes through them" if found else " no value begins with this"
        names: list[Part] = []
        first = max(0, chosen - _MOST_CANDIDATES // 2)
        for place, name in enumerate(found[first : first + _MOST_CANDIDATES], start=first):
            names.append(("›" if place == chosen else " " * (2 if names else 1), "key" if place == chosen else ""))
            names.append((printable_line(name, 60), "chosen" if place == chosen else ""))
        self.query_one("#filter-help", TextRows).show_rows([[(told, "dim")], names])

    @on(FilterEntry.CompletionRequested)
    def _complete(self, event: FilterEntry.CompletionRequested) -> None:
        event.stop()
        entry, cycle = self.query_one(FilterEntry), self._cycle
        if cycle is not None and (cycle.text, cycle.cursor) == (entry.value, entry.cursor_position):
            self._cycle = cycle = cycle._replace(place=(cycle.place + event.direction) % len(cycle.options))
            entry.value = cycle.text
            entry.cursor_position = cycle.cursor
            chosen = cycle.place if cycle.place < len(cycle.options) - 1 else -1
            self.call_after_refresh(self.show_candidates, cycle.options[:-1], chosen)
            return
        self.post_message(self.CandidatesRequested(find_word(entry.value, entry.cursor_position)))

    def complete(self, word: WordAtCursor, found: Sequence[str]) -> None:
        """Complete the word as far as the candidates agree, unless the word at the cursor changed meanwhile."""
        entry = self.query_one(FilterEntry)
        if find_word(entry.value, entry.cursor_position) != word:
            return
        text, cursor = complete_word(entry.value, entry.cursor_position, word, found)
        if text != entry.value:
            entry.value = text
            entry.cursor_position = cursor
        self._cycle = None
        if len(found) > 1:
            options = (*found, text[word.start : cursor])
            self._cycle = CompletionCycle(text[: word.start], options, len(found), text[cursor:])
        if len(found) != 1:
            self.call_after_refresh(self.show_candidates, found)

    @on(Input.Submitted, "#filter-entry")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        if self._check(event.value, entered=True):
            self.show_filter(event.value)
            self.post_message(self.FilterChanged(event.value))

    @on(PopupInput.InputCancelled)
    def _abandoned(self) -> None:
        self.post_message(self.EditCancelled())
