"""Cuts a text into the clauses the prose judge scores.

The segmenter's sentences and lines, with three changes: a line that is only a formula belongs to the words before it;
an announcement ("Let me check this:") is a clause of its own; and a sentence is cut where the writer halts in it
(", but wait").
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pipelines.behaviors.segment import TextRange, segments

CUTTER: Final = "clauses-1"
"""Name and version of these cuts, on top of `SEGMENTER`."""

SHORTEST: Final = 12
"""Characters a clause has at least where a sentence is cut."""
LONGEST: Final = 600
"""Characters from which on formulas are no longer joined to a clause."""

_WORD: Final = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3,}")
_HALT: Final = r"(?:[,;)]|[ \t][-–—])[ \t]+(?=(?:but |so |oh |no, )?(?:wait|hold on|hmm|actually, (?:no|wait|let))\b)"
_LEADS: Final = re.compile(r"\b(?:let|check|verify|compute|need|approach|think|consider)\b", re.IGNORECASE)
_CUT: Final = re.compile(rf"{_HALT}|<think>[ \t]*|(?P<colon>:[*_]{{0,3}})[ \t]+(?=(?P<next>\S))", re.IGNORECASE)
_MAY_CUT: Final = ("wait", "hold on", "hmm", "actually", "<think>")
"""A text without any of these is cut at colons only."""
_ANNOUNCES: Final = (":", ":*", ":**", ":***", ":_", ":__")


class ProseClause(NamedTuple):
    """A clause.

    Attributes:
        start, end: the place a span shows.
        stop: up to here follows what was announced, or formulas; it is scored with the clause.
    """

    start: int
    end: int
    stop: int


def clauses(text: str) -> list[ProseClause]:
    """Return the clauses of a text, in order, without the white space around them; none for a blank text."""
    found: list[ProseClause] = []
    lowered = text.lower()
    cuts = any(word in lowered for word in _MAY_CUT)
    for low, high in _stripped(text):
        if _WORD.search(text, low, high) is None and found and _takes(text, found[-1], high):
            found[-1] = found[-1]._replace(stop=high)
            continue
        cut = low
        if not cuts and text.find(":", low, high) < 0:
            found.append(ProseClause(low, high, high))
            continue
        for match in _CUT.finditer(text, low, high):
            at = match.end()
            if match["colon"] and not _is_announced(text, cut, match, high):
                continue
            if at < high and (at - cut >= SHORTEST or text[match.start()] == "<"):
                end = cut + len(text[cut:at].rstrip())
                found.append(ProseClause(cut, end, end))
                cut = at
        found.append(ProseClause(cut, high, high))
    return found


def _is_announced(text: str, start: int, colon: re.Match[str], end: int) -> bool:
    """Whether the words before a colon stand for themselves: not those of a heading, nor of "so the sum: 12"."""
    if text[start] == "#" or end - colon.end() < SHORTEST or text[colon.start() - 1] in "*_":
        return False
    following = colon["next"]
    return not following.islower() or _LEADS.search(text, start, colon.start()) is not None


def _takes(text: str, clause: ProseClause, stop: int) -> bool:
    """Whether a formula that ends at `stop` is joined to the clause: an announcement stands alone."""
    return stop - clause.start <= LONGEST and not text.endswith(_ANNOUNCES, clause.start, clause.stop)


def _stripped(text: str) -> Iterator[TextRange]:
    for start, end in segments(text):
        part = text[start:end]
        stripped = part.strip()
        if stripped:
            low = start + len(part) - len(part.lstrip())
            yield low, low + len(stripped)
