"""The text of a completion with highlighted spans and a gutter of behaviour lanes; only visible lines are drawn."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.rendering.highlight import HighlightPiece, Highlights, is_reliable_alignment
from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.styles import INK_STYLES, SPAN_STYLES, Part, StyleName
from cogtui.app.widgets.line_view import ScrollLines
from cogtui.store.values.import_facts import MessagePart
from pipelines.behaviors.sets.registered import behavior_of_letter
from pipelines.records import Behavior, LabelledSpan
from pipelines.wording import count_of

_FOLDED: Final[tuple[frozenset[str], ...]] = (
    frozenset(),
    frozenset(("call", "result")),
    frozenset(("call", "result", "thought")),
)
"""Kinds of parts that are folded at each press of the key, in turn."""
_CONTINUES = 3
"""Width in cells of the gutter without its lanes: a mark for continued lines, between spaces."""


class TraceText(ScrollLines):
    """One text with spans, given by `show_trace`."""

    TITLE = "trace"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "toggle_raw", "Show escapes", show=False),
        Binding("f", "fold", "Fold tool calls, then thoughts too", show=False),
        Binding("space", "move_page(1)", "Page down", show=False),
        Binding("enter", "jump(1, '')", "Next span", show=False),
    ]

    class CurrentSpanChanged(Message):
        """The current span changed; None if there is none."""

        def __init__(self, index: int | None) -> None:
            super().__init__()
            self.index = index

    class NoFurtherSpan(Message):
        """A jump found no further span in this text."""

        def __init__(self, direction: int, behavior: Behavior | None) -> None:
            super().__init__()
            self.direction = direction
            self.behavior = behavior

    class NoFurtherMatch(Message):
        """A jump found no further search match in this text."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction

    class FoldingChanged(Message):
        """Other parts of the completion are folded."""

        def __init__(self, kinds: frozenset[str], hidden_lines: int) -> None:
            super().__init__()
            self.kinds = kinds
            self.hidden_lines = hidden_lines

        def describe(self, parts: Sequence[MessagePart]) -> str:
            """Return what is folded of a completion with these parts, as a sentence."""
            if not parts:
                return "this completion is one text, without turns: there is nothing to fold"
            if not self.kinds:
                return "nothing is folded"
            what = "tool calls, results and thoughts" if "thought" in self.kinds else "tool calls and results"
            return f"{what} are folded: {count_of(self.hidden_lines, 'line')} hidden"

    class VisibleRangeChanged(Message):
        """The visible part of the text changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, TraceText.VisibleRangeChanged)

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._raw = False
        self._parts: Sequence[MessagePart] = ()
        self._folding = 0
        self._marked = Highlights(0, ())
        self._layout_of_text = TextLayout("", 80)
        self._base: tuple[Sequence[LabelledSpan], Sequence[tuple[int, int]]] = ((), ())
        self._behaviors: Sequence[Behavior] | None = None
        self._layers: dict[str, Sequence[tuple[int, int]]] = {}
        self._found: tuple[int, int] | None = None
        self.current: int | None = None
        """Index of the current span, in reading order."""

    @property
    def line_count(self) -> int:
        return len(self._layout_of_text)

    @property
    def spans(self) -> Sequence[LabelledSpan]:
        """The shown spans, in reading order."""
        return self._marked.spans

    @property
    def gutter_cells(self) -> int:
        """Width of the gutter in cells."""
        return len(self._marked.behaviors) + _CONTINUES

    @property
    def raw(self) -> bool:
        """Whether escapes are shown."""
        return self._raw

    @property
    def visible_part(self) -> tuple[int, int]:
        """Code-point range of the visible text."""
        if not self.line_count:
            return 0, 0
        top = min(self.scroll_offset.y, self.line_count - 1)
        bottom = min(top + max(1, self.size.height), self.line_count) - 1
        return self._layout_of_text.bounds(top)[0], self._layout_of_text.bounds(bottom)[1]

    def show_trace(
        self,
        text: str,
        spans: Iterable[LabelledSpan],
        marks: Sequence[tuple[int, int]] = (),
        *,
        behaviors: Sequence[Behavior] | None = None,
        parts: Sequence[MessagePart] = (),
        stay: bool = False,
    ) -> None:
        """Show a text with its spans.

        Args:
            text: as stored.
            spans: with offsets into it.
            marks: ranges to mark as wrong.
            behaviors: the lanes of the gutter; those of the sets that the spans belong to if not given.
            parts: thoughts, tool calls and results in the text, which can be folded.
            stay: keep what is seen in place: the same text with other spans.
        """
        if not stay:
            self._layers, self._found = {}, None
        self._text, self._base, self._behaviors = text, (list(spans), marks), behaviors
        self._parts = parts
        self._marked = Highlights(len(text), *self._base, self._layers, behaviors)
        self.current = None
        self._lay_out()
        if not stay:
            self.scroll_lines(0)
        self.post_message(self.CurrentSpanChanged(None))

    def show_layer(self, name: str, ranges: Sequence[tuple[int, int]]) -> None:
        """Show ranges as a layer: `found` for search matches, `token` for every second token; no ranges remove the
        layer.
        """
        self._layers = {**self._layers, name: ranges}
        self._marked = Highlights(len(self._text), *self._base, self._layers, self._behaviors)
        self.refresh()

    def ranges_of(self, name: str) -> Sequence[tuple[int, int]]:
        """Return the ranges of a layer."""
        return self._layers.get(name, ())

    def _lay_out(self) -> None:
        width = max(10, self.text_width - self.gutter_cells)
        self._layout_of_text = TextLayout(self._text, width, raw=self._raw, folds=self._folds())
        self.lines_changed(cursor=0)

    def _folds(self) -> dict[int, int]:
        """The lines to hide: of each folded part all but the first, whose newline stands for them."""
        folds = {}
        for part in self._parts:
            if part.kind in _FOLDED[self._folding]:
                newline = self._text.find("\n", part.start, part.end)
                after = self._text.find("\n", part.end)
                if newline >= 0:
                    folds[newline] = (len(self._text) if after < 0 else after) + 1
        return folds

    def _count_lines(self, newline: int, after: int) -> int:
        """Lines between a newline and where the text goes on."""
        return self._text.count("\n", newline + 1, after) + (after > len(self._text))

    def action_fold(self) -> None:
        """Fold tool calls and their results, then thoughts too, then nothing."""
        seen = self.visible_part[0]
        self._folding = (self._folding + 1) % len(_FOLDED)
        self._lay_out()
        self.scroll_lines(self._layout_of_text.line_of(seen))
        hidden = sum(self._count_lines(*place) for place in self._folds().items())
        self.post_message(self.FoldingChanged(_FOLDED[self._folding], hidden))

    def unfold(self) -> None:
        """Show all parts."""
        self._folding = 0
        self._lay_out()

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        layout = self._layout_of_text
        start, end = layout.bounds(line)
        hidden = layout.hidden_after(line)
        lanes = self._marked.lanes(start, end if hidden is None else min(hidden[1], len(self._text)))
        parts: list[Part] = []
        for lane, behavior in zip(lanes, self._marked.behaviors, strict=True):
            parts.append((lane, INK_STYLES[behavior]) if lane != " " else ("·", "faint"))
        parts.append((" ↪ " if layout.continues(line) else "   ", "dim"))
        for piece in self._marked.pieces_between(start, end):
            parts.append((layout.show(self._text[piece.start : piece.end]), self._piece_styles(piece)))
        if hidden is not None:
            parts.append((f" … {count_of(self._count_lines(*hidden), 'more line')}", "dim"))
        return parts

    def _span_styles(self, piece: HighlightPiece, *, unsure: bool) -> list[StyleName]:
        """Return the styles of the active spans: the shortest gives the colour."""
        style_names: list[StyleName] = []
        if piece.active:
            style_names.append(SPAN_STYLES[self.spans[piece.active[0]].behavior])
            if len({self.spans[index].behavior for index in piece.active}) > 1:
                style_names.append("second")
        if unsure:
            style_names.append("unsure")
        if piece.marked:
            style_names.append("wrong")
        return style_names

    def _piece_styles(self, piece: HighlightPiece) -> tuple[StyleName, ...]:
        unsure = any(not is_reliable_alignment(self.spans[index].alignment) for index in piece.active)
        style_names = self._span_styles(piece, unsure=unsure)
        if "token" in piece.layers:
            style_names.append("second")
        if "found" in piece.layers:
            style_names += ["match", "strong"]
            if self._found is not None and self._found[0] <= piece.start < self._found[1]:
                style_names.append("current")
        if self.current is not None and self.current in piece.active:
            style_names.append("current")
        return tuple(style_names)

    def go_to_span(self, index: int | None) -> None:
        """Make a span the current one and scroll to it."""
        if index == self.current:
            return
        self.current = index
        if index is not None:
            self._bring_into_view(self._marked.ranges[index])
        self.refresh()
        self.post_message(self.CurrentSpanChanged(index))

    def _bring_into_view(self, place: tuple[int, int]) -> None:
        if any(start < place[0] < end for start, end in self._folds().items()):
            self.unfold()  # what is searched for is shown
        first, last = (self._layout_of_text.line_of(offset) for offset in (place[0], place[1] - 1))
        top, height = self.scroll_offset.y, self.size.height
        if first < top + 1 or last >= top + height - 1:
            self.scroll_lines(first - height // 3)

    def go_to_found(self, direction: int, *, edge: bool = False) -> None:
        """Go to the next (1) or previous (-1) search match; with `edge` to the first or last one."""
        places = self.ranges_of("found")
        start, end = self.visible_part
        if self._found is not None:
            start, end = self._found[1], self._found[0]
        if direction > 0:
            wanted = next((place for place in places if edge or place[0] >= start), None)
        else:
            wanted = next((place for place in reversed(places) if edge or place[0] < end), None)
        if wanted is None:
            self.post_message(self.NoFurtherMatch(direction))
            return
        self._found = wanted
        self._bring_into_view(wanted)
        self.refresh()

    def action_jump(self, direction: int, letter: str) -> None:
        """Go to the next or previous span, of the behaviour with a letter if one is given."""
        behavior = behavior_of_letter(self._marked.behaviors, letter)
        if letter and behavior is None:
            return
        start, end = self.visible_part
        found = self._marked.jump(self.current, start if direction > 0 else end, direction, behavior)
        if found is None:
            self.post_message(self.NoFurtherSpan(direction, behavior))
        else:
            self.go_to_span(found)

    def action_toggle_raw(self) -> None:
        """Switch between escapes and visible replacements for invisible characters."""
        seen = self.visible_part[0]
        self._raw = not self._raw
        self._lay_out()
        self.scroll_lines(self._layout_of_text.line_of(seen))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.VisibleRangeChanged())

    def on_resize(self, event: events.Resize) -> None:
        seen = self.visible_part[0]
        self._lay_out()
        super().on_resize(event)
        self.scroll_lines(self._layout_of_text.line_of(seen) if self._text else 0)
        self.post_message(self.VisibleRangeChanged())
