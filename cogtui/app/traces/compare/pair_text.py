"""Two texts with their spans, aligned by segment; only the visible lines are drawn."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from cogtui.app.rendering.highlight import Highlights, is_reliable_alignment
from cogtui.app.rendering.pair_layout import PairLayout
from cogtui.app.rendering.pairing import Pairing, PairKind, SegmentPair, find_differing_ranges
from cogtui.app.rendering.styles import INK_STYLES, SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import crop
from cogtui.app.widgets.line_view import ScrollLines
from pipelines.behaviors.segment import TextRange
from pipelines.behaviors.sets.registered import behavior_of_letter, behaviors_in_use
from pipelines.records import Behavior, LabelledSpan

SIDE_BY_SIDE: Final = 100
"""Minimum width in cells at which the texts are shown side by side."""
_MIDDLE: Final[dict[PairKind, str]] = {"same": "   ", "changed": " ≠ ", "left": " < ", "right": " > "}
_SIGNS: Final[dict[PairKind, str]] = {"same": " ", "changed": "≠", "left": "<", "right": ">"}


@dataclass(frozen=True, slots=True)
class PairSide:
    """One of the two texts with its spans."""

    text: str
    spans: Sequence[LabelledSpan] = ()


class PairText(ScrollLines):
    """Rows of paired segments, given by `show_pair`.

    Side by side, a sign between the texts says how a pair differs: `≠` changed, `<` and `>` in one text only, nothing
    where they are equal. Stacked, the sign follows the letter of the text, A or B; equal segments are shown once.
    """

    TITLE = "comparison"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "difference(1)", "Difference"),
        Binding("D", "difference(-1)", "Previous difference", show=False),
        Binding("e", "toggle_raw", "Show escapes", show=False),
        Binding("space", "move_page(1)", "Page down", show=False),
    ]

    class VisiblePairsChanged(Message):
        """The visible part of the texts changed."""

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, PairText.VisiblePairsChanged)

    class NoFurtherTarget(Message):
        """A jump found no further difference, or no further span of the behaviour."""

        def __init__(self, direction: int, what: str) -> None:
            super().__init__()
            self.direction = direction
            self.what = what

    def __init__(self) -> None:
        super().__init__()
        self._sides = (PairSide(""), PairSide(""))
        self._pairing = Pairing(())
        self._marked = [Highlights(0, ()), Highlights(0, ())]
        self._raw = False
        self._lines = PairLayout(("", ""), (), 40)
        self.at: int | None = None
        """The visual line that a jump went to."""

    @property
    def line_count(self) -> int:
        return len(self._lines)

    @property
    def pairing(self) -> Pairing:
        """The pairing of the texts."""
        return self._pairing

    @property
    def stacked(self) -> bool:
        """Whether the texts are shown one below the other."""
        return self._lines.stacked

    def show_pair(self, left: PairSide, right: PairSide, pairing: Pairing, *, stay: bool = False) -> None:
        """Show two texts.

        Args:
            left, right: the texts as stored, and spans with offsets into them.
            pairing: of these two texts.
            stay: keep what is seen in place: the same texts with other spans.
        """
        self._sides, self._pairing = (left, right), pairing
        behaviors = behaviors_in_use(span.behavior for side in self._sides for span in side.spans)
        self._marked = [Highlights(len(side.text), side.spans, behaviors=behaviors) for side in self._sides]
        self.at = None
        self._lay_out()
        if not stay:
            self.scroll_lines(0)
        self.post_message(self.VisiblePairsChanged())

    def show_nothing(self) -> None:
        """Clear both texts."""
        self.show_pair(PairSide(""), PairSide(""), Pairing(()))

    @property
    def _gutter(self) -> int:
        """Width of a gutter in cells: the lanes and a space."""
        return len(self._marked[0].behaviors) + 1

    def _lay_out(self) -> None:
        width = self.text_width
        stacked = self.size.width < SIDE_BY_SIDE
        column = width - 4 - self._gutter if stacked else (width - 1 - len(_MIDDLE["same"])) // 2 - self._gutter
        pairs = self._pairing.pairs
        folded = [self._alike(pair) for pair in pairs] if stacked else ()
        texts = self._sides[0].text, self._sides[1].text
        self._lines = PairLayout(texts, pairs, max(10, column), stacked=stacked, folded=folded, raw=self._raw)
        self._column = max(10, column)
        self.at = None
        self.lines_changed(cursor=0)

    def _alike(self, pair: SegmentPair) -> bool:
        """Return whether both sides look the same: equal characters under equal behaviours."""
        if not pair.same or pair.left is None or pair.right is None:
            return False
        (a, b), (c, d) = pair.left, pair.right
        if self._sides[0].text[a:b] != self._sides[1].text[c:d]:
            return False
        by_side = []
        for side, (start, end) in enumerate((pair.left, pair.right)):
            spans = self._marked[side].spans
            pieces = self._marked[side].pieces_between(start, end)
            by_side.append([(p.start - start, p.end - start, [spans[i].behavior for i in p.active]) for p in pieces])
        return by_side[0] == by_side[1]

    def line_parts(self, line: int, width: int) -> Sequence[Part]:
        found = self._lines.line(line)
        pair = self._pairing.pairs[found.pair]
        here: Part = ("›" if line == self.at else " ", "strong")
        if not self.stacked:
            left = self._side_parts(0, pair, found.left)
            sign: Part = (_MIDDLE[pair.kind], "strong")
            return [here, *_fit_parts(left, self._column + self._gutter), sign, *self._side_parts(1, pair, found.right)]
        if found.both:
            return [here, ("   ", ""), *self._side_parts(0, pair, found.left)]
        side = 0 if found.left is not None else 1
        letter = "AB"[side] + _SIGNS[pair.kind] + " "
        return [here, (letter, "strong"), *self._side_parts(side, pair, found.left or found.right)]

    def _side_parts(self, side: int, pair: SegmentPair, place: TextRange | None) -> list[Part]:
        if place is None:
            return []
        marked, text = self._marked[side], self._sides[side].text
        show = self._lines.sides[side].show
        lanes = marked.lanes(*place)
        parts: list[Part] = [
            (lane, INK_STYLES[behavior]) if lane != " " else ("·", "faint")
            for lane, behavior in zip(lanes, marked.behaviors, strict=True)
        ]
        parts.append((" ", ""))
        lacking = self._lacking(side, pair)
        for piece in marked.pieces_between(*place):
            style_names: list[StyleName] = []
            if piece.active:
                style_names.append(SPAN_STYLES[marked.spans[piece.active[0]].behavior])
                if any(not is_reliable_alignment(marked.spans[index].alignment) for index in piece.active):
                    style_names.append("unsure")
            for start, end, differs in _cut(piece.start, piece.end, lacking):
                parts.append((show(text[start:end]), (*style_names, "differs") if differs else tuple(style_names)))
        return parts

    def _lacking(self, side: int, pair: SegmentPair) -> list[TextRange]:
        """Return the ranges of a changed pair that the other text lacks."""
        if pair.kind != "changed" or pair.left is None or pair.right is None:
            return []
        places = pair.left, pair.right
        texts = [one.text[slice(*place)] for one, place in zip(self._sides, places, strict=True)]
        start = places[side][0]
        return [(start + a, start + b) for a, b in find_differing_ranges(texts[0], texts[1])[side]]

    def seen(self, side: int) -> TextRange:
        """Return the visible code-point range of a text."""
        top = self.scroll_offset.y
        return self._lines.seen(side, top, top + max(1, self.size.height) - 1)

    def action_difference(self, direction: int) -> None:
        """Go to the next or previous range in which the texts differ."""
        pairs = self._pairing.pairs
        starts = [
            self._lines.top(row)
            for row, pair in enumerate(pairs)
            if pair.kind != "same" and (row == 0 or pairs[row - 1].kind == "same")
        ]
        self._go(starts, direction, "difference")

    def jump(self, direction: int, behavior: Behavior | None) -> None:
        """Go to the next or previous line on which a span of a behaviour (None: of any) begins, in either text."""
        starts = {
            self._lines.line_of(side, start)
            for side, marked in enumerate(self._marked)
            for span, (start, _) in zip(marked.spans, marked.ranges, strict=True)
            if behavior in (None, span.behavior)
        }
        self._go(sorted(starts), direction, behavior.replace("_", " ") if behavior else "span")

    def jump_letter(self, direction: int, letter: str) -> None:
        """Jump by the letter of a behaviour; any other text means any behaviour."""
        self.jump(direction, behavior_of_letter(self._marked[0].behaviors, letter))

    def _go(self, lines: Sequence[int], direction: int, what: str) -> None:
        here = self.at if self.at is not None else self.scroll_offset.y - (direction > 0)
        if direction > 0:
            wanted = next((line for line in lines if line > here), None)
        else:
            wanted = next((line for line in reversed(lines) if line < here), None)
        if wanted is None:
            self.post_message(self.NoFurtherTarget(direction, what))
            return
        self.at = wanted
        top, height = self.scroll_offset.y, self.size.height
        if not top + 1 <= wanted < top + height - 2:
            self.scroll_lines(wanted - height // 3)
        self.refresh()

    def action_toggle_raw(self) -> None:
        """Switch between escapes and visible replacements for invisible characters."""
        self._again(raw=not self._raw)

    def _again(self, *, raw: bool) -> None:
        pair = self._lines.pair_at(self.scroll_offset.y) if self.line_count else 0
        self._raw = raw
        self._lay_out()
        self.scroll_lines(self._lines.top(pair) if self.line_count else 0)
        self.post_message(self.VisiblePairsChanged())

    def action_move(self, lines: int) -> None:
        self.at = None
        super().action_move(lines)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.VisiblePairsChanged())

    def on_resize(self, event: events.Resize) -> None:
        super().on_resize(event)
        self._again(raw=self._raw)


def _cut(start: int, end: int, ranges: Sequence[TextRange]) -> Iterator[tuple[int, int, bool]]:
    """Cut a range at the ends of other ranges; yield each part with whether it lies in one of them."""
    at = start
    for first, last in ranges:
        first, last = max(first, at), min(last, end)
        if first < last:
            if at < first:
                yield at, first, False
            yield first, last, True
            at = last
    if at < end:
        yield at, end, False


def _fit_parts(parts: Sequence[Part], width: int) -> list[Part]:
    """Cut or pad parts to a width."""
    fitted: list[Part] = []
    room = width
    for text, style_names in parts:
        length = cell_len(text)
        if length > room:
            text = crop(text, room)
            length = cell_len(text)
        fitted.append((text, style_names))
        room -= length
    return [*fitted, (" " * room, "")]
