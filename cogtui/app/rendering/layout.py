"""Line breaking of long texts. A layout holds offsets only, so a megabyte is laid out in milliseconds.

A layout is built once per text and width; strings and styles are made for visible lines only.
"""

import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from rich.cells import cell_len, get_character_cell_size

from cogtui.app.rendering.text import escaped, shown

_BREAKS: Final = " \t"
_MARKS_PER_CELL: Final = 4
# Characters of one cell that `shown` does not change. All others take the slow path, character by character.
_SIMPLE: Final = re.compile(r"[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0377\u0391-\u03a1\u0400-\u0482\u2500-\u25fc]*")
_SIMPLE_ESCAPED: Final = re.compile(r"[ -\[\]-~]*")


@lru_cache(8192)
def shown_width(char: str) -> int:
    """Return the width in cells of one character as `shown` prints it."""
    visible = shown(char)
    return get_character_cell_size(visible) if visible else 0


@lru_cache(8192)
def escaped_width(char: str) -> int:
    """Return the width in cells of one character as `escaped` prints it."""
    return cell_len(escaped(char))


class TextLayout:
    """The visual lines of a text at a width.

    Args:
        text: the text as stored.
        width: cells a line may take, at least 2.
        wrap: break long lines at spaces; False gives one visual line a text line.
        raw: print escapes instead of pictures; newlines then show as `\\n` at the line's end.
        pieces: offsets, ascending, at which a line begins whatever stands before; a newline that ends a piece then
            opens no line of its own. None: only newlines begin lines.
        folds: newline → offset at which the line after it begins; what is between is not shown. Not with `pieces`.
    """

    def __init__(
        self,
        text: str,
        width: int,
        *,
        wrap: bool = True,
        raw: bool = False,
        pieces: Sequence[int] | None = None,
        folds: Mapping[int, int] | None = None,
    ) -> None:
        self.text = text
        self.width = max(2, width)
        self.raw = raw
        self.show: Callable[[str], str] = escaped if raw else shown
        self._simple = _SIMPLE_ESCAPED if raw else _SIMPLE
        self._width_of = escaped_width if raw else shown_width
        self._folds = folds or {}
        self._starts = array("L")
        self._ends = array("L")
        if pieces is None:
            self._lay_out(wrap)
        else:
            self._lay_out_pieces(pieces)

    def __len__(self) -> int:
        """Return the number of visual lines."""
        return len(self._starts)

    def bounds(self, line: int) -> tuple[int, int]:
        """Return the half-open code-point range of a visual line, without its newline unless raw."""
        return self._starts[line], self._ends[line]

    def line_of(self, offset: int) -> int:
        """Return the visual line of an offset; the last line for offsets past the end."""
        return max(0, bisect_right(self._starts, offset) - 1)

    def hidden_after(self, line: int) -> tuple[int, int] | None:
        """Return the range of the text that is folded away behind a line; None if there is none."""
        if not self._folds:
            return None
        newline = self._ends[line] - (self.raw and self._ends[line] > self._starts[line])
        end = self._folds.get(newline)
        return None if end is None or self.text[newline : newline + 1] != "\n" else (newline, end)

    def continues(self, line: int) -> bool:
        """Return whether a line continues the one before without a newline in the text."""
        return line > 0 and self.text[self._starts[line] - 1] != "\n"

    def _lay_out(self, wrap: bool) -> None:
        text, position, length = self.text, 0, len(self.text)
        while position <= length:
            newline = text.find("\n", position)
            stop = length if newline < 0 else newline
            end = stop + 1 if self.raw and newline >= 0 else stop
            if wrap:
                self._wrap(position, end)
            else:
                self._add(position, end)
            if newline < 0:
                return
            position = self._folds.get(newline, newline + 1)

    def _lay_out_pieces(self, pieces: Sequence[int]) -> None:
        text = self.text
        for start, stop in pairwise((*pieces, len(text))):
            position = start
            while position < stop:
                newline = text.find("\n", position, stop)
                end = stop if newline < 0 else newline
                self._wrap(position, end + 1 if self.raw and newline >= 0 else end)
                position = stop if newline < 0 else newline + 1

    def _add(self, start: int, end: int) -> None:
        self._starts.append(start)
        self._ends.append(end)

    def _wrap(self, start: int, end: int) -> None:
        text = self.text
        while True:
            fits = self._fits(start, end)
            if fits >= end:
                self._add(start, end)
                return
            # The space stays on the line before the break, one cell past the edge if necessary (but not an escaped
            # tab, which takes two cells); a word longer than the line is cut.
            space = max(text.rfind(char, start + 1, fits + (self._width_of(char) == 1)) for char in _BREAKS)
            cut = fits if space <= start else space + 1
            self._add(start, cut)
            if cut >= end:
                return
            start = cut

    def _fits(self, start: int, end: int) -> int:
        """Return the first offset that does not fit on a line starting at `start`; at least one character fits."""
        simple = self._simple.match(self.text, start, min(end, start + self.width))
        position = simple.end() if simple else start
        cells = position - start
        # The limit keeps a run of a million combining marks, which take no cells, from becoming one line.
        limit = min(end, start + _MARKS_PER_CELL * self.width)
        while position < limit:
            cells += self._width_of(self.text[position])
            if cells > self.width:
                break
            position += 1
        return max(position, start + 1)
