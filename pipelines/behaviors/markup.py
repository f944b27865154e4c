"""Annotated text that people write and read: `5 + 3 = 8 ⟦V (not 24)⟧`, nested where behaviours overlap.

A mark opens with `⟦`, a behaviour letter (V, B, S, C), `w` for weak and `r` for repeat as they apply, and
one space; it closes with `⟧`.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, LabelledSpan

_MARK = re.compile(r"⟦([VBSC])(w?)(r?) |⟧")
_BY_LETTER: Final[dict[str, Behavior]] = {letter: behavior for behavior, letter in BEHAVIOR_LETTERS.items()}


class _OpenMark(NamedTuple):
    """A mark that is not closed yet."""

    start: int
    """In the plain text."""
    behavior: Behavior
    weak: bool
    repeat: bool
    position: int
    """In the annotated text."""


class _ClosedMark(NamedTuple):
    """A range of the plain text and its marks; sorted by range."""

    start: int
    end: int
    behavior: Behavior
    weak: bool
    repeat: bool


def parse_marked(marked: str) -> tuple[str, tuple[LabelledSpan, ...]]:
    """Parse annotated text into the plain text and its spans in order of start.

    Raises:
        InvalidInput: a mark is closed that was not opened, or the other way round; names the line.
    """
    pieces: list[str] = []
    length = position = 0
    opened: list[_OpenMark] = []
    closed: list[_ClosedMark] = []
    for mark in _MARK.finditer(marked):
        pieces.append(marked[position : mark.start()])
        length += mark.start() - position
        position = mark.end()
        if mark[1]:
            opened.append(_OpenMark(length, _BY_LETTER[mark[1]], bool(mark[2]), bool(mark[3]), mark.start()))
        elif opened:
            one = opened.pop()
            closed.append(_ClosedMark(one.start, length, one.behavior, one.weak, one.repeat))
        else:
            raise InvalidInput(f"line {_line(marked, mark.start())}: ⟧ closes nothing")
    if opened:
        raise InvalidInput(f"line {_line(marked, opened[-1].position)}: ⟦ is not closed")
    text = "".join([*pieces, marked[position:]])
    spans = tuple(
        LabelledSpan(behavior=behavior, start=start, end=end, quote=text[start:end], weak=weak, repeat=repeat)
        for start, end, behavior, weak, repeat in sorted(closed)
    )
    return text, spans


def write_marked(text: str, spans: Sequence[LabelledSpan]) -> str:
    """Write annotated text: the inverse of `parse_marked`, for nested spans.

    Raises:
        InvalidInput: two spans cross, so that brackets cannot show them.
    """
    placed = sorted(
        ((span.start, -(span.end or 0), span) for span in spans if span.start is not None), key=lambda item: item[:2]
    )
    pieces: list[str] = []
    ends: list[int] = []
    position = 0

    def advance(to: int) -> None:
        nonlocal position
        while ends and ends[-1] <= to:
            pieces.append(text[position : ends[-1]] + "⟧")
            position = ends.pop()
        pieces.append(text[position:to])
        position = to

    for start, negative_end, span in placed:
        advance(start)
        if ends and -negative_end > ends[-1]:
            raise InvalidInput(f"the span at {start}:{-negative_end} crosses the end of another at {ends[-1]}")
        flags = "w" * span.weak + "r" * span.repeat
        pieces.append(f"⟦{BEHAVIOR_LETTERS[span.behavior]}{flags} ")
        ends.append(-negative_end)
    advance(len(text))
    return "".join(pieces)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
