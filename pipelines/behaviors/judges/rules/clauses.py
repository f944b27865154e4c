"""The words between computations, cut into clauses at punctuation, line breaks, brackets and arrows."""

import re
from dataclasses import dataclass
from typing import Final

from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.cues import Cue, read_clause
from pipelines.behaviors.judges.rules.tokens import NUMBER, Number, TokenTable

_CUT: Final = re.compile(r"\n\s*|[.!?。]+|[;|…]|,|，|[:()\[\]—→⇒]|[-=]>|[-–](?=\s)|</?\w+>|\*\*|```|\$\$|\\[()\[\]]")
_STOPS: Final = frozenset(".!?。;|…")
_BEHIND_STOP: Final = frozenset(" \t\r\n\"')*]")
_NUMBERS: Final = frozenset("NT")
_LIST: Final = re.compile(r" ?[NT][NT和、，, ]*[NT]")
_DOUBTFUL: Final = frozenset(".!?。,，-–")
"""Punctuation that ends a clause in some contexts only."""
_EDGE: Final = " \t\r\n.,，。;:!-–—*_`'\"#>|•·$\\=~"


@dataclass(slots=True)
class Clause:
    """A trimmed stretch of words; `sentence` and `line` are the numbers of its sentence and line."""

    start: int
    end: int
    text: str
    """Folded and masked."""
    cue: Cue
    sentence: int
    line: int
    bracket: bool = False
    """Whether it is enclosed in its own brackets."""
    arrow: int = -1
    """Offset of an arrow that points at it; -1 if there is none."""
    touches: bool = False
    """Whether only white space separates it from a computation."""
    question: bool = False


def mask(folded: str, tokens: TokenTable, computations: list[Computation], target: Number) -> str:
    """Return the folded text with numbers outside computations masked: `T` for the target, `N` for any other.

    Marks that wrap one number (`**9**`, `$9$`) are masked with it, so that they cut no clause.
    """
    kinds, starts = tokens.kinds, tokens.starts
    pieces: list[str] = []
    position = behind = 0

    def cover(until: int) -> None:
        """Mask the numbers from the token `behind` on that begin before an offset."""
        nonlocal position
        index = kinds.find(NUMBER, behind)
        while index >= 0 and starts[index] < until:
            start, end = starts[index], tokens.ends[index]
            if folded[end : end + 1] in _CLOSING:
                start, end = _with_marks(folded, start, end)
            pieces.append(folded[position:start])
            pieces.append(("T" if tokens.values[index] == target else "N") * (end - start))
            position = end
            index = kinds.find(NUMBER, index + 1)

    for computation in computations:
        cover(computation.start)
        behind = computation.sides[-1].after
    cover(len(folded))
    pieces.append(folded[position:])
    return "".join(pieces)


_MARKS: Final = (("**", "**"), ("__", "__"), ("\\(", "\\)"), ("$$", "$$"), ("`", "`"), ("$", "$"), ("*", "*"))
_CLOSING: Final = frozenset("*_\\$`")


def _with_marks(folded: str, start: int, end: int) -> tuple[int, int]:
    """Return the range of a number with the Markdown or LaTeX marks that wrap it."""
    for opening, closing in _MARKS:
        if folded.startswith(closing, end) and folded.endswith(opening, 0, start):
            return start - len(opening), end + len(closing)
    return start, end


@dataclass(slots=True)
class TextBreaks:
    """The clauses of a trace, and the sentence and line of each computation."""

    clauses: list[Clause]
    sentence_at: list[int]
    """For each computation, the number of its sentence."""
    line_at: list[int]


def cut(masked: str, computations: list[Computation]) -> TextBreaks:
    """Split a masked text into clauses, none of which overlaps a computation."""
    scissors = _Scissors(masked)
    sentences: list[int] = []
    lines: list[int] = []
    position = 0
    for computation in computations:
        scissors.gap(position, computation.start)
        sentences.append(scissors.sentence)
        lines.append(scissors.line)
        position = computation.end
        if "\n" in masked[computation.start : position]:
            scissors.line += masked.count("\n", computation.start, position)
    scissors.gap(position, len(masked))
    return TextBreaks(scissors.clauses, sentences, lines)


class _Scissors:
    """Splits one stretch between computations after another, counting sentences and lines."""

    def __init__(self, masked: str) -> None:
        self.masked = masked
        self.clauses: list[Clause] = []
        self.sentence = 0
        self.line = 0

    def gap(self, start: int, end: int) -> None:
        """Split the stretch from the end of one computation to the start of the next."""
        masked = self.masked
        if end - start <= _SHORT_GAP and not masked[start:end].strip(_EDGE):
            self._pass(masked[start:end])
            return
        position = start
        touches, bracket, arrow = start > 0, False, -1
        for match in _CUT.finditer(masked, start, end):
            at, behind = match.span()
            sign = masked[at]
            if sign in _DOUBTFUL and not self._cuts(sign, at, behind):
                continue
            clause = None
            if position < at:
                clause = self._add(position, at, bracket, arrow, touches)
                touches = touches and clause is None
            if clause is not None:
                clause.question = sign == "?"
                clause.bracket = bracket and sign == ")"
            bracket = sign == "("
            arrow = at if sign in "→⇒" or (behind - at == _SIGN and masked[at:behind] in ("->", "=>")) else -1
            if sign == "\n":
                self.sentence += 1
                self.line += 1 if masked.count("\n", at, behind) == 1 else 2
                touches = False
            elif sign in _STOPS:
                self.sentence += 1
                touches = False
            position = behind
        if position < end:
            self._add(position, end, False, arrow, touches)

    def _pass(self, gap: str) -> None:
        """Count the sentences and lines of a stretch without words."""
        if "\n" in gap:
            self.sentence += 1
            self.line += 2 if gap.count("\n") > 1 else 1
        elif not _STOPS.isdisjoint(gap):
            self.sentence += 1

    def _cuts(self, sign: str, at: int, behind: int) -> bool:
        """Return whether punctuation ends a clause: not a decimal point, nor a comma in a list of numbers."""
        masked = self.masked
        if sign in ".!?。":
            if behind >= len(masked) or behind - at > 1 or sign == "。":
                return True
            if masked[behind] in _BEHIND_STOP:
                return True
            return sign != "." and (masked[behind] >= _FIRST_CJK or masked[max(0, at - 1)] >= _FIRST_CJK)
        if sign == ",":
            number_behind = masked[behind : behind + 1] in _NUMBERS or masked[behind + 1 : behind + 2] in _NUMBERS
            number_before = masked[at - 1 : at] in _NUMBERS or masked[at - 2 : at - 1] in _NUMBERS
            return not (number_before and number_behind)
        if sign == "，":
            return _LIST.match(masked, behind) is None
        if sign in "-–" and behind - at == 1:
            return masked[at - 1 : at].isspace()
        return True

    def _add(self, start: int, end: int, bracket: bool, arrow: int, touches: bool) -> Clause | None:
        text = self.masked[start:end]
        stripped = text.strip(_EDGE)
        if not stripped:
            return None
        offset = text.index(stripped)
        if offset and not _COMPARING.isdisjoint(text[:offset]):
            sign = _COMPARES.search(text)
            if sign is not None and sign.start() < offset:
                offset = sign.start()
                stripped = text[offset:].rstrip(_EDGE)
        start += offset
        clause = Clause(
            start,
            start + len(stripped),
            stripped,
            read_clause(stripped),
            self.sentence,
            self.line,
            bracket,
            arrow,
            touches,
        )
        self.clauses.append(clause)
        return clause


_FIRST_CJK: Final = "\u2e80"
"""Chinese and Japanese put no space behind `！` and `？`, which `fold` writes in ASCII."""
_SIGN: Final = 2
_SHORT_GAP: Final = 12
_COMPARING: Final = frozenset("!=>")
_COMPARES: Final = re.compile(r"(?:!=|<=?|>=?|[≤≥]) ?(?:T|N)|= ?(?:the |our )?target")
"""Symbols that state something about the number after them, unlike plain punctuation."""
