"""A text with the spans of two judges marked under each line, and the list of instances."""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.rendering.highlight import Highlights
from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.span_comparison import LinesWithMarks, SpanMatch
from cogtui.app.rendering.styles import INK_STYLES, SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.line_view import LineView, ScrollLines
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.records import LabelledSpan

_GUTTER = 4


class SpanComparisonText(ScrollLines):
    """A text with the span matches of two sides."""

    TITLE = "text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "toggle_raw", "Show escapes", show=False),
        Binding("space", "move_page(1)", "Page down", show=False),
    ]

    class CurrentInstanceChanged(Message):
        """The current instance changed."""

        def __init__(self, index: int | None) -> None:
            super().__init__()
            self.index = index

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._raw = False
        self.shared: list[SpanMatch] = []
        self.current: int | None = None
        """Index of the current instance."""
        self._marked = Highlights(0, ())
        self._rows = LinesWithMarks(TextLayout("", 80), ())

    @property
    def line_count(self) -> int:
        return len(self._rows)

    def show_sets(self, text: str, shared: Sequence[SpanMatch]) -> None:
        """Show a text with instances from `match_span_sets`."""
        self._text, self.shared, self.current = text, list(shared), None
        spans: list[LabelledSpan] = [span for one in shared for span in (one.first, one.second) if span is not None]
        self._marked = Highlights(len(text), spans)
        self._lay_out()
        self.scroll_lines(0)

    def _lay_out(self) -> None:
        layout = TextLayout(self._text, max(10, self.text_width - _GUTTER), raw=self._raw)
        self._rows = LinesWithMarks(layout, self.shared)
        self.lines_changed(cursor=0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        text_line, behavior = self._rows.at(line)
        layout = self._rows.layout
        start, end = layout.bounds(text_line)
        if behavior is not None:
            parts: list[Part] = [(f" {BEHAVIOR_LETTERS[behavior]}  ", INK_STYLES[behavior])]
            for a, b, sign in self._rows.marks(text_line, behavior):
                style: StyleName = "dim" if sign in " =" else "warn"
                parts.append((sign * cell_len(layout.show(self._text[a:b])), style))
            return parts
        parts = [(" ↪  " if layout.continues(text_line) else "    ", "dim")]
        here = None if self.current is None else self.shared[self.current]
        for piece in self._marked.pieces_between(start, end):
            cuts = [piece.start, piece.end]
            if here is not None:
                cuts += [cut for cut in (here.start, here.end) if piece.start < cut < piece.end]
            cuts.sort()
            for a, b in pairwise(cuts):
                style_names: list[StyleName] = []
                if piece.active:
                    style_names.append(SPAN_STYLES[self._marked.spans[piece.active[0]].behavior])
                    if len({self._marked.spans[index].behavior for index in piece.active}) > 1:
                        style_names.append("second")
                if here is not None and here.start <= a < here.end:
                    style_names.append("current")
                parts.append((layout.show(self._text[a:b]), tuple(style_names)))
        return parts

    def go_to(self, index: int | None) -> None:
        """Make an instance the current one and scroll to it."""
        self.current = index
        if index is not None:
            row, height = self._rows.row_of(self.shared[index].start), self.size.height
            if not self.scroll_offset.y + 1 <= row < self.scroll_offset.y + height - 3:
                self.scroll_lines(row - height // 3)
        self.refresh()
        self.post_message(self.CurrentInstanceChanged(index))

    def next_difference(self, direction: int, letter: str) -> int | None:
        """Return the next or previous instance of one side only, of the behaviour with a letter if given."""
        order = range(len(self.shared)) if direction > 0 else range(len(self.shared) - 1, -1, -1)
        for index in order:
            one = self.shared[index]
            beyond = self.current is None or (index - self.current) * direction > 0
            if beyond and one.whose != "both" and letter.upper() in ("", BEHAVIOR_LETTERS[one.behavior]):
                return index
        return None

    def action_toggle_raw(self) -> None:
        """Switch between escapes and visible replacements for invisible characters."""
        self._raw = not self._raw
        self._lay_out()
        self.go_to(self.current)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out()
        super().on_resize(event)


class InstanceList(LineView):
    """The instances: letter, owner, range, quote."""

    TITLE = "list of instances"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Go to it")]

    def __init__(self) -> None:
        super().__init__()
        self._shared: list[SpanMatch] = []
        self._text = ""

    @property
    def line_count(self) -> int:
        return len(self._shared)

    def show_instances(self, text: str, shared: Sequence[SpanMatch]) -> None:
        """Show instances of a text."""
        self._text, self._shared = text, list(shared)
        self.lines_changed(cursor=0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        one = self._shared[line]
        whose = "both" if one.whose == "both" else f"only {one.whose}"
        quote = printable_line(self._text[one.start : one.end][:300], 300)
        span = one.first or one.second
        flags = "".join(f" {name}" for name in ("weak", "repeat") if span is not None and getattr(span, name))
        return [
            (BEHAVIOR_LETTERS[one.behavior], INK_STYLES[one.behavior]),
            (f" {fit(whose + flags, 8)}", "warn" if one.counts else "dim"),
            (f" {fit(f'{one.start}–{one.end}', 10)} ", "dim"),
            (fit(f"“{quote}”", width - 22), ""),
        ]
