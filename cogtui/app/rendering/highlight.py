"""Overlapping spans as a partition of the text, found by a sweep over their boundaries."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, behaviors_in_use
from pipelines.records import Alignment, Behavior, LabelledSpan

_ORDER = {behavior: index for index, behavior in enumerate(BEHAVIORS)}


@dataclass(frozen=True, slots=True)
class HighlightPiece:
    """A range of the text over which the same spans are active."""

    start: int
    end: int
    active: tuple[int, ...]
    """Indices of the active spans, the shortest first."""
    marked: bool = False
    """Whether the range is marked for another reason, such as a wrong equation."""
    layers: tuple[str, ...] = ()
    """Names of the other layers on the range, such as search matches or every second token."""


def sort_placed_spans(spans: Iterable[LabelledSpan]) -> list[LabelledSpan]:
    """Return the spans with a place in the text in reading order: by start, then longest first, then by behaviour."""
    found = [span for span in spans if span.start is not None and span.end is not None]
    return sorted(found, key=lambda span: (span.start, -(span.end or 0), _ORDER[span.behavior]))


def partition_text(length: int, ranges: Sequence[tuple[int, int]]) -> list[HighlightPiece]:
    """Cut `0..length` at every start and end.

    Args:
        length: code points in the text.
        ranges: half-open (start, end) of each span; parts outside the text are ignored.

    Returns:
        Pieces in order that cover `0..length` without gap or overlap.
    """
    clipped = [(max(0, start), min(length, end)) for start, end in ranges]
    opens: dict[int, list[int]] = {}
    closes: dict[int, list[int]] = {}
    for index, (start, end) in enumerate(clipped):
        if start < end:
            opens.setdefault(start, []).append(index)
            closes.setdefault(end, []).append(index)
    cuts = sorted({0, length, *opens, *closes})
    pieces: list[HighlightPiece] = []
    active: list[int] = []
    for cut, following in pairwise(cuts):
        for index in closes.get(cut, ()):
            active.remove(index)
        if cut in opens:
            active.extend(opens[cut])
            active.sort(key=lambda index: (clipped[index][1] - clipped[index][0], index))
        pieces.append(HighlightPiece(cut, following, tuple(active)))
    return pieces


def is_reliable_alignment(alignment: Alignment) -> bool:
    """Return whether the highlighted words are the words that the judge quoted, not an approximate match."""
    return alignment in ("exact", "normalised", "elided")


class Highlights:
    """The placed spans of one text, queried by line.

    Args:
        length: code points in the text.
        spans: in any order; those without a place are left out.
        marks: other ranges to mark, which are no spans.
        layers: more such ranges by name, for pieces to tell of.
        behaviors: the lanes of the gutter; those of the sets that the spans belong to if not given.

    Attributes:
        spans: the placed spans in reading order; pieces and jumps use their indices.
        pieces: the partition of the text.
        behaviors: the lanes of the gutter.
    """

    def __init__(
        self,
        length: int,
        spans: Iterable[LabelledSpan],
        marks: Sequence[tuple[int, int]] = (),
        layers: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        behaviors: Sequence[Behavior] | None = None,
    ) -> None:
        self.spans = [span for span in sort_placed_spans(spans) if span.start is not None and span.start < length]
        self.behaviors = tuple(behaviors or behaviors_in_use(span.behavior for span in self.spans))
        self._lane_of = {behavior: lane for lane, behavior in enumerate(self.behaviors)}
        self.ranges = [(span.start or 0, min(span.end or 0, length)) for span in self.spans]
        self._last_mark = len(self.ranges) + len(marks)
        self._layer_of = [name for name, ranges in (layers or {}).items() for _ in ranges]
        others = [place for ranges in (layers or {}).values() for place in ranges]
        self.pieces = [self._with_marks(piece) for piece in partition_text(length, [*self.ranges, *marks, *others])]
        self._piece_starts = [piece.start for piece in self.pieces]
        self._starts = [start for start, _ in self.ranges]

    def _with_marks(self, piece: HighlightPiece) -> HighlightPiece:
        spans = tuple(index for index in piece.active if index < len(self.spans))
        marked = any(len(self.spans) <= index < self._last_mark for index in piece.active)
        layers = [self._layer_of[index - self._last_mark] for index in piece.active if index >= self._last_mark]
        return HighlightPiece(piece.start, piece.end, spans, marked, tuple(dict.fromkeys(layers)))

    def pieces_between(self, start: int, end: int) -> list[HighlightPiece]:
        """Return the pieces of `start..end`, the first and last cut to it. Logarithmic in the number of spans."""
        if start >= end or not self.pieces:
            return []
        first = max(0, bisect_right(self._piece_starts, start) - 1)
        last = bisect_left(self._piece_starts, end)
        return [
            HighlightPiece(max(piece.start, start), min(piece.end, end), piece.active, piece.marked, piece.layers)
            for piece in self.pieces[first:last]
        ]

    def lanes(self, start: int, end: int) -> str:
        """Return the gutter of a line: one character for each of `behaviors`.

        The letter where a span begins on the line, a bar where one goes on, a space where there is none.
        """
        lanes = [" "] * len(self.behaviors)
        for piece in self.pieces_between(start, end):
            for index in piece.active:
                behavior = self.spans[index].behavior
                lane = self._lane_of.get(behavior)
                if lane is None:
                    continue
                if self._starts[index] >= start:
                    lanes[lane] = BEHAVIOR_LETTERS[behavior]
                elif lanes[lane] == " ":
                    lanes[lane] = "│"
        return "".join(lanes)

    def jump(self, current: int | None, position: int, direction: int, behavior: Behavior | None) -> int | None:
        """Return the span to jump to.

        Args:
            current: index of the span the reader is on, if any.
            position: offset the reader is at, used when on no span.
            direction: 1 forwards, -1 backwards.
            behavior: only spans of this behaviour; None for any.

        Returns:
            Index of the nearest such span in that direction, or None.
        """
        fits = [index for index, span in enumerate(self.spans) if behavior in (None, span.behavior)]
        if direction > 0:
            after = (lambda i: i > current) if current is not None else (lambda i: self._starts[i] >= position)
            return next((index for index in fits if after(index)), None)
        before = (lambda i: i < current) if current is not None else (lambda i: self._starts[i] < position)
        return next((index for index in reversed(fits) if before(index)), None)


def minimap(length: int, spans: Sequence[LabelledSpan], width: int) -> list[tuple[Behavior, ...]]:
    """Return the behaviours in each of `width` equal parts of the text, in the order of the behaviours."""
    cells: list[set[Behavior]] = [set() for _ in range(width)]
    for span in spans:
        if span.start is None or span.end is None or not length:
            continue
        first = span.start * width // length
        last = (min(span.end, length) - 1) * width // length
        for cell in range(max(0, first), min(width - 1, last) + 1):
            cells[cell].add(span.behavior)
    return [tuple(sorted(cell, key=_ORDER.__getitem__)) for cell in cells]
