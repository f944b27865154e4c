"""Movement of a span's boundary to the next or previous start or end of a character, word or sentence."""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal, Self

from pipelines.behaviors.segment import segments
from pipelines.records import LabelledSpan

TextUnit = Literal["character", "word", "sentence"]
SpanEdge = Literal["start", "end"]

_WORD: Final = re.compile(r"\w+|[^\w\s]+")
_LOOK_BACK: Final = 256
_STICKS: Final = frozenset("\u200d\ufe0e\ufe0f")


def move_boundary(text: str, at: int, unit: TextUnit, direction: int, edge: SpanEdge) -> int:
    """Return the next (1) or previous (-1) start or end of a unit; the end of the text if there is none.

    Args:
        text: the whole text.
        at: the boundary now, a code-point offset.
        unit: how far.
        direction: 1 forwards, -1 backwards.
        edge: which boundary moves; starts stay before the last character, ends behind the first.
    """
    low, high = (0, max(0, len(text) - 1)) if edge == "start" else (min(1, len(text)), len(text))
    if unit == "character":
        found = _character(text, at, direction)
    elif unit == "word":
        found = _word(text, at, direction, edge)
    else:
        found = _sentence(text, at, direction, edge)
    return max(low, min(high, found))


def _character(text: str, at: int, direction: int) -> int:
    """Move by one character, over combining characters."""
    at += direction
    while 0 < at < len(text) and _inside_a_cluster(text, at):
        at += direction
    return at


def _inside_a_cluster(text: str, at: int) -> bool:
    return text[at] in _STICKS or text[at - 1] == "\u200d" or bool(unicodedata.combining(text[at]))


def _word(text: str, at: int, direction: int, edge: SpanEdge) -> int:
    if direction > 0:
        if edge == "end":
            match = _WORD.search(text, at)
            return match.end() if match else len(text)
        here = _WORD.match(text, at)
        match = _WORD.search(text, here.end() if here else at)
        return match.start() if match else len(text)
    back = _LOOK_BACK
    while True:
        low = max(0, at - back)
        found = [
            match.start() if edge == "start" else match.end()
            for match in _WORD.finditer(text, low, at)
            if (match.start() > low or not low) and (edge == "start" or match.end() < at)
        ]
        if found or not low:
            return found[-1] if found else 0
        back *= 4


def _sentence(text: str, at: int, direction: int, edge: SpanEdge) -> int:
    places = _sentence_places(text, edge)
    if direction > 0:
        index = bisect_right(places, at)
        return places[index] if index < len(places) else len(text)
    index = bisect_left(places, at) - 1
    return places[index] if index >= 0 else 0


@lru_cache(4)
def _sentence_places(text: str, edge: SpanEdge) -> Sequence[int]:
    places = []
    for start, end in segments(text):
        piece = text[start:end]
        if piece.strip():
            places.append(start + len(piece) - len(piece.lstrip()) if edge == "start" else start + len(piece.rstrip()))
    return places


@dataclass(frozen=True, slots=True)
class TextSelection:
    """A selected range of which one end moves. Never empty."""

    start: int
    end: int
    edge: SpanEdge = "end"
    origin: LabelledSpan | None = None
    """The span whose boundaries are being moved; None for a new one."""

    @property
    def caret(self) -> int:
        """Offset of the character at the moving end."""
        return self.start if self.edge == "start" else self.end - 1

    def swapped(self) -> Self:
        """Return the selection with the other end moving."""
        return replace(self, edge="start" if self.edge == "end" else "end")

    def moved(self, text: str, unit: TextUnit, direction: int) -> Self:
        """Return the selection with its end moved by a unit; the ends do not cross."""
        at = self.start if self.edge == "start" else self.end
        return self._to(move_boundary(text, at, unit, direction, self.edge))

    def reaching(self, offset: int) -> Self:
        """Return the selection with its end at the character of an offset."""
        return self._to(offset if self.edge == "start" else offset + 1)

    def _to(self, place: int) -> Self:
        if self.edge == "start":
            return replace(self, start=max(0, min(place, self.end - 1)))
        return replace(self, end=max(place, self.start + 1))
