"""Splits a text into segments: sentences, lines, pieces of long enumerations.

The segments join up to the text exactly, whatever it holds; each carries the white space behind it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

SEGMENTER: Final = "lines-sentences-1"
"""Name and version of these rules, recorded with every judge run that shows segments."""

TextRange = tuple[int, int]
"""Half-open code-point offsets."""

LONG: Final = 240
"""Longer sentences are also split at weak separators."""
LONGEST: Final = 400
"""Most characters of a segment; a longer stretch without a separator is split there."""

_STRONG: Final = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]|[.!?]+[\"')\]*_]*(?=[ \t])|[。！？]+[”’」』）]*|…(?=\s)")
_LIST_NUMBER: Final = re.compile(r"[ \t>*#-]*\(?\d{1,3}[.)]$")
_WEAK: Final = re.compile(r"[;|；]|[,，](?=\s)|[→⇒]|->|=>")
_BLANK: Final = re.compile(r"[ \t]*")
_STICKS: Final = frozenset("\u200d\ufe0e\ufe0f")


def segments(text: str) -> list[TextRange]:
    """Return the ranges of the segments of a text, in order, without gap or overlap; none for an empty text."""
    found: list[TextRange] = []
    for start, end in _sentences(text):
        if end - start <= LONG:
            found.append((start, end))
        else:
            found.extend(_pieces(text, start, end))
    return found


def _sentences(text: str) -> Iterator[TextRange]:
    start = line = 0
    for match in _STRONG.finditer(text):
        end = match.end()
        if end <= start:
            continue
        if match[0][0] in "\r\n\v\f\x85\u2028\u2029":
            line = end
        elif _LIST_NUMBER.fullmatch(text, line, end):
            continue  # a list number belongs to its item
        else:
            blank = _BLANK.match(text, end)
            end = blank.end() if blank else end
            if text[end : end + 1] in ("\n", "\r"):
                continue  # the line break that follows ends it
        yield start, end
        start = end
    if start < len(text):
        yield start, len(text)


def _pieces(text: str, start: int, end: int) -> Iterator[TextRange]:
    """Split a long sentence after weak separators once a piece is long enough, at the latest at `LONGEST`."""
    cut = start
    for match in _WEAK.finditer(text, start, end):
        at = match.end()
        while at - cut > LONGEST:
            forced = _forced(text, cut)
            yield cut, forced
            cut = forced
        blank = _BLANK.match(text, at, end)
        at = blank.end() if blank else at
        if at - cut >= LONG // 4 and at < end and at - cut <= LONGEST:
            yield cut, at
            cut = at
    while end - cut > LONGEST:
        forced = _forced(text, cut)
        yield cut, forced
        cut = forced
    if cut < end:
        yield cut, end


def _forced(text: str, start: int) -> int:
    """Return where to split a stretch without separators: at a space if possible, never inside a grapheme."""
    limit = start + LONGEST
    space = text.rfind(" ", start + LONGEST // 2, limit)
    if space >= 0:
        return space + 1
    at = limit
    while at > start + LONGEST // 2 and (
        text[at] in _STICKS or text[at - 1] == "\u200d" or unicodedata.combining(text[at])
    ):
        at -= 1
    return at
