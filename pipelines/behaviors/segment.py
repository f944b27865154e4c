"""Cuts a text into numbered segments: sentences, lines, pieces of long enumerations.

The segments join up to the text exactly, whatever it holds; each carries the white space behind it.
"""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

SEGMENTER: Final = "lines-sentences-1"
"""Name and version of these rules, kept with every judge run that showed segments."""

TextRange = tuple[int, int]
"""Half-open code-point offsets."""

LONG: Final = 240
"""Characters from which on a sentence is cut at weaker signs too."""
LONGEST: Final = 400
"""Characters no segment exceeds; where no sign helps, it is cut there."""

_STRONG: Final = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]|[.!?]+[\"')\]*_]*(?=[ \t])|[。！？]+[”’」』）]*|…(?=\s)")
_LIST_NUMBER: Final = re.compile(r"[ \t>*#-]*\(?\d{1,3}[.)]$")
_WEAK: Final = re.compile(r"[;|；]|[,，](?=\s)|[→⇒]|->|=>")
_BLANK: Final = re.compile(r"[ \t]*")
_STICKS: Final = frozenset("\u200d\ufe0e\ufe0f")


def segments(text: str) -> list[TextRange]:
    """The places of the segments of a text, in order, without a gap or an overlap; none for an empty text."""
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
            continue  # `1.` belongs to what it numbers
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
    """Pieces of a long sentence: cut behind a weak sign once it is long enough, at the latest at `LONGEST`."""
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
    """Where to cut a stretch without signs: at a space if there is one, never inside a combined character."""
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
