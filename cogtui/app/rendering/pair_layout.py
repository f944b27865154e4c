"""Lines of two paired texts, side by side or stacked where the width is too small. Offsets only."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.pairing import SegmentPair
from pipelines.behaviors.segment import TextRange


@dataclass(frozen=True, slots=True)
class PairLine:
    """One visual line: the range of each text on it, or None."""

    pair: int
    """Index of the pair that the line belongs to."""
    left: TextRange | None
    right: TextRange | None
    both: bool = False
    """For stacked texts, whether the line stands for both texts, which are equal here."""


class PairLayout:
    """The visual lines of paired segments.

    Args:
        texts: left and right.
        pairs: their rows.
        width: cells for a text, in each of the two columns or in the only one.
        stacked: one column; the left segment above the right one.
        folded: for stacked ones, which pairs are shown once because both sides look the same.
        raw: escapes instead of pictures.
    """

    def __init__(
        self,
        texts: tuple[str, str],
        pairs: Sequence[SegmentPair],
        width: int,
        *,
        stacked: bool = False,
        folded: Sequence[bool] = (),
        raw: bool = False,
    ) -> None:
        self.pairs = pairs
        self.stacked = stacked
        self._folded = folded
        self._places = [[pair.left for pair in pairs], [pair.right for pair in pairs]]
        self._owners = [[row for row, place in enumerate(side) if place is not None] for side in self._places]
        self._starts = [array("L", (place[0] for place in side if place is not None)) for side in self._places]
        self.sides = [
            TextLayout(text, width, raw=raw, pieces=starts) for text, starts in zip(texts, self._starts, strict=True)
        ]
        self._tops = array("L")
        """First visual line of each pair."""
        top = 0
        for row in range(len(pairs)):
            self._tops.append(top)
            heights = [self._height(side, row) for side in (0, 1)]
            if not stacked:
                top += max(heights)
            else:
                top += heights[0] if self._is_folded(row) else sum(heights)
        self._length = top

    def _is_folded(self, row: int) -> bool:
        return self.stacked and bool(self._folded) and self._folded[row]

    def _height(self, side: int, row: int) -> int:
        place = self._places[side][row]
        if place is None:
            return 0
        layout = self.sides[side]
        return layout.line_of(place[1] - 1) - layout.line_of(place[0]) + 1

    def __len__(self) -> int:
        """Return the number of visual lines."""
        return self._length

    def top(self, pair: int) -> int:
        """Return the first visual line of a pair."""
        return self._tops[pair]

    def pair_at(self, line: int) -> int:
        """Return the pair of a visual line."""
        return max(0, bisect_right(self._tops, line) - 1)

    def line(self, line: int) -> PairLine:
        """Return the ranges on a visual line."""
        row = self.pair_at(line)
        offset = line - self._tops[row]
        if not self.stacked:
            return PairLine(row, self._bounds(0, row, offset), self._bounds(1, row, offset))
        if self._is_folded(row):
            return PairLine(row, self._bounds(0, row, offset), None, both=True)
        above = self._height(0, row)
        if offset < above:
            return PairLine(row, self._bounds(0, row, offset), None)
        return PairLine(row, None, self._bounds(1, row, offset - above))

    def _bounds(self, side: int, row: int, offset: int) -> TextRange | None:
        place = self._places[side][row]
        if place is None or offset >= self._height(side, row):
            return None
        layout = self.sides[side]
        return layout.bounds(layout.line_of(place[0]) + offset)

    def line_of(self, side: int, offset: int) -> int:
        """Return the visual line of an offset of a text; 0 for an empty text."""
        if not self._owners[side]:
            return 0
        row = self._owners[side][max(0, bisect_right(self._starts[side], offset) - 1)]
        place = self._places[side][row]
        assert place is not None
        layout = self.sides[side]
        inside = layout.line_of(offset) - layout.line_of(place[0])
        above = self._height(0, row) if self.stacked and side and not self._is_folded(row) else 0
        return self._tops[row] + above + inside

    def seen(self, side: int, first: int, last: int) -> TextRange:
        """Return the range of a text on some visual lines; empty if none of it is on them."""
        ranges = []
        for line in range(first, min(last + 1, self._length)):
            found = self.line(line)
            place = found.left if side == 0 else self._twin(found, line) if found.both else found.right
            if place is not None:
                ranges.append(place)
        return (ranges[0][0], ranges[-1][1]) if ranges else (0, 0)

    def _twin(self, found: PairLine, line: int) -> TextRange | None:
        return self._bounds(1, found.pair, line - self._tops[found.pair])
