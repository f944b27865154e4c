"""Backward chaining in prose, by wordings: there are no labels of it to learn from.

A clause shows it where it says what a wanted result requires ("for the sum to be even, both must be odd", "to reach
the detector we need ..."), or that it works backwards. Its score is the share of such clauses that were right when
read by hand; how many the wordings miss is not known. docs/prose-judge.md has the reading.
"""

import re
from typing import Final

BACKWARD_VERSION: Final = 1
"""Goes up whenever the wordings find anything else than before."""

PRECISION: Final = 0.8
"""Share of the clauses found that were right: 40 of 50 read by hand."""

_NEEDLES: Final = (
    "backward",
    " back from",
    "for ",
    "to get",
    "to obtain",
    "to reach",
    "to arrive",
    "to make",
    "to achiev",
)
_WANTED: Final = r"(?:this|that|it|these|the [\w' -]{1,40}|\S{1,30})"
_REQUIRES: Final = r"(?:we need|must|need to|needs to|requires?|have to|has to)\b"
_CUE: Final = re.compile(
    r"\bwork(?:ing|ed)? back(?:wards?|ward from| from)\b"
    rf"|\bfor {_WANTED} to (?:be|equal|hold|vanish|have)\b[^.;?]{{0,60}}\b{_REQUIRES}"
    r"|\bto (?:get|obtain|reach|arrive at|make|achieve) [^.;?]{1,60}?\b(?:we|you|one) (?:would |will |'d |should )?"
    r"(?:must|need|have to|require)\b",
    re.IGNORECASE,
)


def mentions(text: str) -> bool:
    """Return whether a text, in lower case, holds a word without which no wording fits."""
    return any(needle in text for needle in _NEEDLES)


def is_backward(text: str, start: int, end: int) -> bool:
    """Return whether the clause `text[start:end]` reasons backward from what is wanted."""
    return _CUE.search(text, start, end) is not None
