"""The spans of a trace as a list, spans without a place in the text last."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from cogtui.app.rendering.styles import INK_STYLES, Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.line_view import LineView
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.records import LabelledSpan


class SpanList(LineView):
    """Letter, range, alignment and quote of each span."""

    TITLE = "list of spans"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "choose", "Go to the span")]

    def __init__(self) -> None:
        super().__init__()
        self._spans: list[LabelledSpan] = []

    @property
    def line_count(self) -> int:
        return len(self._spans)

    @property
    def span(self) -> LabelledSpan | None:
        """The span under the cursor."""
        return self._spans[self.cursor] if self._spans else None

    def show_spans(self, placed: Sequence[LabelledSpan], lost: Sequence[LabelledSpan]) -> None:
        """Show spans: those with a place in reading order, then those without."""
        self._spans = [*placed, *lost]
        self.lines_changed(cursor=0)

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        return span_parts(self._spans[line], width)


def span_parts(span: LabelledSpan, width: int) -> list[Part]:
    """Format a span on one line: `V 12–45 exact 1.00? “quote”`."""
    place = "not found" if span.start is None else f"{span.start}–{span.end}"
    alignment: str = span.alignment
    if span.alignment == "fuzzy":
        alignment += f" {span.score:.2f}"
    if span.ambiguous:
        alignment += "?"
    for name, on in (("weak", span.weak), ("repeat", span.repeat)):
        alignment += f" {name}" if on else ""
    parts: list[Part] = [
        (BEHAVIOR_LETTERS[span.behavior], INK_STYLES[span.behavior]),
        (f" {fit(place, 11)} ", "dim"),
        (fit(alignment, 11), "bad" if span.start is None else ""),
    ]
    room = width - 25
    parts.append((" " + fit(f"“{printable_line(span.quote, 300)}”", room), "" if span.start is not None else "bad"))
    return parts
