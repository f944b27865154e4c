"""The text of a trace with a caret: spans are selected, moved and labelled by keyboard."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.annotation.boundaries import TextSelection, TextUnit, move_boundary
from cogtui.app.annotation.draft import AnnotationDraft, SpanKey, span_key
from cogtui.app.rendering.highlight import HighlightPiece, Highlights
from cogtui.app.rendering.styles import INK_STYLES, Part, StyleName
from cogtui.app.rollout.trace_text import TraceText
from cogtui.store.values.import_facts import MessagePart
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.records import LabelledSpan
from pipelines.wording import count_of


class AnnotateText(TraceText, inherit_bindings=False):
    """A draft over its text. Keys act on the span under the caret."""

    TITLE = "text"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,l", "caret('character', 1)", "Next character", show=False),
        Binding("left,h", "caret('character', -1)", "Previous character", show=False),
        Binding("w", "caret('word', 1)", "Next word", show=False),
        Binding("b", "caret('word', -1)", "Previous word", show=False),
        Binding("right_parenthesis", "caret('sentence', 1)", "Next sentence", show=False, key_display=")"),
        Binding("left_parenthesis", "caret('sentence', -1)", "Previous sentence", show=False, key_display="("),
        Binding("down,j", "move(1)", "Line down", show=False),
        Binding("up,k", "move(-1)", "Line up", show=False),
        Binding("home,0", "line_end(-1)", "Start of the line", show=False),
        Binding("end,dollar_sign", "line_end(1)", "End of the line", show=False, key_display="End $"),
        Binding("pagedown,ctrl+f", "move_page(1)", "Page down", show=False),
        Binding("pageup,ctrl+b", "move_page(-1)", "Page up", show=False),
        Binding("g", "first", "Start of the text", show=False),
        Binding("G", "last", "End of the text", show=False),
        Binding("f", "fold", "Fold tool calls, then thoughts too", show=False),
    ]

    class CaretMoved(Message):
        """The caret, the selection or the current span changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, AnnotateText.CaretMoved)

    def __init__(self) -> None:
        super().__init__()
        self.caret = 0
        """Offset of the character under the caret."""
        self.selection: TextSelection | None = None
        self._open: frozenset[LabelledSpan] = frozenset()

    def show_draft(
        self,
        draft: AnnotationDraft,
        marks: Sequence[tuple[int, int]] = (),
        *,
        parts: Sequence[MessagePart] = (),
        stay: bool,
    ) -> None:
        """Show a draft.

        Args:
            draft: with its text.
            marks: ranges to mark as wrong.
            parts: thoughts, tool calls and results in the text, which can be folded.
            stay: the same text: caret and view stay where they are.
        """
        kept = self.span if stay else None
        self._open = frozenset(draft.open)
        if stay:
            self._marked = Highlights(len(draft.text), draft.items, marks, behaviors=draft.behaviors)
        else:
            self.caret, self.selection = 0, None
            self.show_trace(draft.text, draft.items, marks, behaviors=draft.behaviors, parts=parts)
        self.caret = max(0, min(self.caret, len(draft.text) - 1))
        if kept is not None and kept in self.spans:
            self.current = list(self.spans).index(kept)
        else:
            self._find_current()
        self._moved()

    def select_key(self, place: SpanKey) -> None:
        """Make the span with a key the current one and move the caret to it."""
        found = [index for index, span in enumerate(self.spans) if span_key(span) == place]
        if found:
            self.go_to_span(found[0])

    @property
    def span(self) -> LabelledSpan | None:
        """The current span."""
        return None if self.current is None or self.current >= len(self.spans) else self.spans[self.current]

    def is_open(self, index: int) -> bool:
        """Return whether a shown span is an open proposal."""
        return self.spans[index] in self._open

    # Movement

    def go_to(self, offset: int) -> None:
        """Put the caret, or the moving end of the selection, on a character."""
        offset = max(0, min(offset, len(self._text) - 1))
        if self.selection is not None:
            self.selection = self.selection.reaching(offset)
            self.caret = self.selection.caret
        else:
            self.caret = offset
            self._find_current()
        self._moved()

    def go_to_span(self, index: int | None) -> None:
        """Make a span the current one, with the caret at its start."""
        if index is not None:
            self.caret = self._marked.ranges[index][0]
            self.selection = None
        super().go_to_span(index)
        self._moved()

    def select(self, selection: TextSelection | None) -> None:
        """Starts, replaces or ends the selection."""
        self.selection = selection
        if selection is not None:
            self.caret = selection.caret
        self._moved()

    def action_caret(self, unit: TextUnit, direction: int) -> None:
        """Move the caret, or the moving end of the selection, by a unit."""
        if not self._text:
            return
        if self.selection is not None:
            self.selection = self.selection.moved(self._text, unit, direction)
            self.caret = self.selection.caret
            self._moved()
        else:
            self.go_to(self._beside_fold(move_boundary(self._text, self.caret, unit, direction, "start"), direction))

    def action_fold(self) -> None:
        """Fold as `TraceText` does. A caret in what is hidden moves to where it is folded."""
        super().action_fold()
        if self.selection is None:
            self.go_to(self._beside_fold(self.caret, -1))
        else:
            self._moved()

    def _fold_of(self, offset: int) -> tuple[int, int] | None:
        """The hidden range that an offset is in."""
        return next(((start, end) for start, end in self._folds().items() if start < offset < end), None)

    def _beside_fold(self, offset: int, direction: int) -> int:
        """The nearest offset that is shown, in a direction."""
        fold = self._fold_of(offset)
        if fold is None:
            return offset
        newline, after = fold
        return after if direction > 0 and after < len(self._text) else newline

    def action_move(self, lines: int) -> None:
        """Move the caret by lines, keeping its column where possible."""
        layout = self._layout_of_text
        line = layout.line_of(self.caret)
        wanted = max(0, min(line + lines, len(layout) - 1))
        if wanted == line:
            return
        start, end = layout.bounds(wanted)
        self.go_to(max(start, min(start + self.caret - layout.bounds(line)[0], end - 1)))

    def action_line_end(self, direction: int) -> None:
        """Move the caret to the start or the end of its line."""
        start, end = self._layout_of_text.bounds(self._layout_of_text.line_of(self.caret))
        self.go_to(start if direction < 0 else max(start, end - 1))

    def action_first(self) -> None:
        """Move the caret to the start of the text."""
        self.go_to(0)

    def action_last(self) -> None:
        """Move the caret to the end of the text."""
        self.go_to(len(self._text) - 1)

    def next_open(self, behind: int) -> int | None:
        """Return the first open proposal at or after an offset, else the first of all."""
        found = [index for index in range(len(self.spans)) if self.is_open(index)]
        return next((index for index in found if self._marked.ranges[index][0] >= behind), found[0] if found else None)

    def _find_current(self) -> None:
        here = self._marked.pieces_between(self.caret, self.caret + 1)
        self.current = here[0].active[0] if here and here[0].active else None

    def _moved(self) -> None:
        if self._fold_of(self.caret) is not None:  # a span or the end of a selection in what was hidden
            self.unfold()
        line = self._layout_of_text.line_of(self.caret)
        top, height = self.scroll_offset.y, max(1, self.size.height)
        if line < top or line >= top + height:
            self.scroll_lines(line - height // 3)
        self.refresh()
        self.post_message(self.CaretMoved())

    # Drawing

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        layout = self._layout_of_text
        start, end = layout.bounds(line)
        hidden = layout.hidden_after(line)
        shown_until = end if hidden is None else min(hidden[1], len(self._text))
        parts: list[Part] = []
        for lane, behavior in zip(self._lanes(start, shown_until), self._marked.behaviors, strict=True):
            parts.append((lane, INK_STYLES[behavior]) if lane != " " else ("·", "faint"))
        parts.append((" ↪ " if layout.continues(line) else "   ", "dim"))
        for piece in self._cut(self._marked.pieces_between(start, end)):
            parts.append((layout.show(self._text[piece.start : piece.end]), self._piece_styles(piece)))
        if self.has_focus and layout.line_of(self.caret) == line and not start <= self.caret < end:
            parts.append((" ", "current"))
        if hidden is not None:
            parts.append((f" … {count_of(self._count_lines(*hidden), 'more line')}", "dim"))
        return parts

    def _lanes(self, start: int, end: int) -> str:
        """Return the gutter of a line like `Highlights.lanes`, with small letters where an open proposal begins."""
        lanes = [" "] * len(self._marked.behaviors)
        for piece in self._marked.pieces_between(start, end):
            for index in piece.active:
                behavior = self.spans[index].behavior
                lane = self._marked.behaviors.index(behavior)
                if self._marked.ranges[index][0] >= start:
                    letter = BEHAVIOR_LETTERS[behavior]
                    lanes[lane] = letter.lower() if self.is_open(index) else letter
                elif lanes[lane] == " ":
                    lanes[lane] = "┊" if self.is_open(index) else "│"
        return "".join(lanes)

    def _cut(self, pieces: Iterable[HighlightPiece]) -> Iterable[HighlightPiece]:
        """Cut pieces at the caret and at the ends of the selection."""
        cuts = {self.caret, self.caret + 1}
        if self.selection is not None:
            cuts |= {self.selection.start, self.selection.end}
        for piece in pieces:
            inside = sorted(cut for cut in cuts if piece.start < cut < piece.end)
            for start, end in zip([piece.start, *inside], [*inside, piece.end], strict=True):
                yield HighlightPiece(start, end, piece.active, piece.marked)

    def _piece_styles(self, piece: HighlightPiece) -> tuple[StyleName, ...]:
        style_names = self._span_styles(piece, unsure=bool(piece.active) and self.is_open(piece.active[0]))
        chosen = self.selection
        if chosen is not None and chosen.start <= piece.start < chosen.end:
            style_names.append("selected")
        elif chosen is None and self.current is not None and self.current in piece.active:
            style_names.append("held")
        if self.has_focus and piece.start == self.caret:
            style_names.append("current")
        return tuple(style_names)
