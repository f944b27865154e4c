"""Normalises a text and maps back: differences that a judge's quote may have without meaning another place.

Case, white space, Unicode forms, kinds of quotation marks, dashes, operators and stops, and marks of Markdown
and LaTeX all fall away. Numbers stay.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_FOLDED: Final = {
    **dict.fromkeys("‘’‛`´′", "'"),
    **dict.fromkeys("“”„‟«»″", '"'),
    **dict.fromkeys("‐‑‒–—−", "-"),
    **dict.fromkeys("×∗⋅·∙✕", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("。", "."),
    **dict.fromkeys("、", ","),
    "…": "...",
    "≠": "!=",
    "→": "->",
    "⇒": "=>",
}
_DROPPED: Final = re.compile(r"\*\*+|__+|`+|\$+|\\[()\[\]]|\\(?:left|right|quad|,|;)")
_LATEX: Final = {"\\times": "*", "\\cdot": "*", "\\div": "/", "\\neq": "!=", "\\ne": "!=", "\\approx": "≈"}
_COMMAND: Final = re.compile(r"\\(?:times|cdot|div|neq?|approx)(?![a-z])")
NUMBERS: Final = re.compile(r"\d+(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class NormalisedText:
    """A normal form; character i of it comes from `[starts[i], ends[i])` of the text."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def within(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the normal form that comes from a range of the text."""
        return bisect_left(self.starts, start), bisect_right(self.ends, end)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return the range of the text that a non-empty range of the normal form comes from."""
        return self.starts[start], self.ends[end - 1]


@lru_cache(maxsize=1 << 14)
def _fold(char: str) -> str:
    if char in _FOLDED:
        return _FOLDED[char]
    return "".join(_FOLDED.get(part, part) for part in unicodedata.normalize("NFKD", char).casefold())


def normalise(text: str) -> NormalisedText:
    """Return the normal form of a text."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    marks = {match.start(): match.end() for match in _DROPPED.finditer(text)}
    commands = {match.start(): match for match in _COMMAND.finditer(text)} if "\\" in text else {}
    index, size = 0, len(text)
    while index < size:
        if index in marks:
            index = marks[index]
            continue
        if index in commands:
            match = commands[index]
            folded, end = _LATEX[match[0]], match.end()
        else:
            char = text[index]
            end = index + 1
            if char.isspace():
                index = end
                continue
            folded = char if char.isascii() and not char.isupper() else _fold(char)
        pieces.append(folded)
        for _ in folded:
            starts.append(index)
            ends.append(end)
        index = end
    return NormalisedText("".join(pieces), tuple(starts), tuple(ends))


def numbers_in(text: str) -> list[str]:
    """Return the numbers of a text, thousands joined: a quote and its place must have the same."""
    return NUMBERS.findall(text.replace(",", "") if "," in text and _GROUPED.search(text) else text)


_GROUPED: Final = re.compile(r"\d,\d{3}(?!\d)")
