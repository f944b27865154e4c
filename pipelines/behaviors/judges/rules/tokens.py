"""Splits a trace into tokens: numbers, operators, relations, brackets, marks and runs of words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

Number = int | float
"""Integers are exact; decimals and divisions with a remainder are floats."""


def key(value: Number) -> Number:
    """Return the key of a value, equal for values that a trace treats as the same: traces round to two decimals."""
    return value if isinstance(value, int) else round(value, 2)


# Kinds of tokens. Plain integers that fit a byte: the kinds of a text are then a string that patterns can search.
NUMBER: Final = 0
OPERATOR: Final = 1
RELATION: Final = 2
OPEN: Final = 3
CLOSE: Final = 4
FRACTION: Final = 5
"""The `}{` inside a LaTeX fraction."""
GLUE: Final = 6
"""Markdown and LaTeX marks that mean nothing inside an expression."""
HOLE: Final = 7
"""A placeholder for an unknown number, or a number too long to compute with."""
NEWLINE: Final = 8
WORDS: Final = 9
"""Words with single spaces between them."""
OTHER: Final = 10

_MARKS: Final = (
    r"|[+/×÷−,:;()?'\"|]|\n|\*\*+|__+|\.{3}|[-=]>|={1,3}|!=|=/=|<>|~=|`+|\$+"
    r"|\\[dt]?frac\s*\{|\\[a-z]+|\\[()\[\],;!]|\}\s*\{"
    r"|[^\s\\]|\\"
)
_NUMERAL: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d|,\d)|\d+)(?:\.\d+(?:\.{2,3}|…)?)?"
_SPLIT: Final = r"|(?=[pmtd])(?:plus|minus|times|divided by|multiplied by)\b"
"""Operator words, which are tokens of their own before other words: `46 divided by | something`."""
_TOKEN: Final = re.compile(r"((?=[\S\n])(?:" + _NUMERAL + _SPLIT + r"|[^\W\d_]+(?:[ '][^\W\d_]+)*" + _MARKS + "))")
_TOKEN_BY_WORD: Final = re.compile(_NUMERAL + r"|[^\W\d_]+(?:'[^\W\d_]+)*" + _MARKS)

_OPERATORS: Final = {
    **dict.fromkeys(("-", "−", "–", "－"), "-"),
    **dict.fromkeys(("+", "＋"), "+"),
    **dict.fromkeys(("*", "×", "∙", "·", "∗", "⋅", "✕", "＊", "\\times", "\\cdot", "\\ast"), "*"),
    **dict.fromkeys(("/", "÷", "／", "\\div"), "/"),
    "^": "^",
}
_RELATIONS: Final = {
    **dict.fromkeys(("=", "==", "===", "->", "=>", "→", "⇒", "⟶", "\\rightarrow", "\\to", "\\implies"), "="),
    **dict.fromkeys(("≈", "≃", "≅", "≒", "~", "~=", "\\approx"), "≈"),
}
_GLUE: Final = frozenset(
    ("\\(", "\\)", "\\[", "\\]", "\\,", "\\;", "\\!", "\\quad", "\\left", "\\right", "\\displaystyle", "\\boxed")
)
WORD_OPERATORS: Final = {
    **dict.fromkeys(("plus", "más", "mais", "加", "加上", "added to"), "+"),
    **dict.fromkeys(("minus", "menos", "moins", "减", "减去"), "-"),
    **dict.fromkeys(("times", "x", "por", "mal", "fois", "乘", "乘以", "multiplied by"), "*"),
    **dict.fromkeys(("divided by", "entre", "geteilt durch", "durch", "divisé par", "除以"), "/"),
}
"""Words that are operators between two numbers and ordinary words elsewhere."""

_UNITS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS: Final = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
NUMBER_WORDS: Final[dict[str, int]] = {
    **{word: value for value, word in enumerate(_UNITS)},
    **{word: 10 * tens for tens, word in enumerate(_TENS, start=2)},
}
_COMPOUND: Final = re.compile(
    rf"({'|'.join(_TENS)})[- ]({'|'.join(_UNITS[1:10])})\b|({'|'.join(_UNITS[1:10])}) hundred"
    rf"(?: (?:and )?(?:({'|'.join(_TENS)})(?:[- ]({'|'.join(_UNITS[1:10])}))?|({'|'.join(_UNITS[1:])}))\b)?"
)
_SPELLED_SIGNS: Final = (*_TENS, "teen", "eleven", "twelve", "hundred")
_MAX_DIGITS: Final = 15


@dataclass(slots=True)
class TokenTable:
    """The tokens of a text in parallel columns; `values` holds a number, an operator sign or the folded words."""

    kinds: bytes
    starts: Sequence[int]
    ends: Sequence[int]
    values: tuple[object, ...]

    def __len__(self) -> int:
        return len(self.kinds)


_PUNCTUATION: Final = str.maketrans("’‘；：（）！？、＝", "'';:()!?,=")


def fold(text: str) -> str:
    """Return the text in lower case with straight quotes and ASCII punctuation, of the same length."""
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters grow in lower case, e.g. U+0130
        lowered = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    return lowered if lowered.isascii() else lowered.translate(_PUNCTUATION)


_MEMORY_SIZE: Final = 20_000
_MEMORABLE: Final = 40
"""Length of the longest token that is cached."""


class _Memory(dict[str, tuple[int, object]]):
    """Cache of classified tokens: traces repeat themselves, so most tokens are found here."""

    def __missing__(self, word: str) -> tuple[int, object]:
        known = (WORDS, word) if word[0].isalpha() else _classify(word)
        if len(self) < _MEMORY_SIZE and len(word) <= _MEMORABLE:
            self[word] = known
        return known


_memory: Final = _Memory()


def clear_tokens() -> None:
    """Forget the tokens met so far."""
    _memory.clear()


def tokenize(folded: str) -> TokenTable:
    """Split a folded text into tokens."""
    if any(sign in folded for sign in _SPELLED_SIGNS):
        return _tokenize_spelled(folded)
    parts = _TOKEN.split(folded)  # alternately the text between tokens, and tokens
    places = tuple(accumulate(map(len, parts)))
    words = parts[1::2]
    if not words:
        return TokenTable(b"", (), (), ())
    kinds, values = zip(*map(_memory.__getitem__, words), strict=True)
    return TokenTable(bytes(kinds), places[:-1:2], places[1::2], values)


def _classify(word: str) -> tuple[int, object]:
    first = word[0]
    if first.isdecimal():
        number = _number(word)
        return (HOLE, None) if number is None else (NUMBER, number)
    if word in _OPERATORS:
        return OPERATOR, _OPERATORS[word]
    if word in _RELATIONS:
        return RELATION, _RELATIONS[word]
    if first in "*_`$" or word in _GLUE:
        return GLUE, word
    if first == "}" and len(word) > 1:
        return FRACTION, None
    if first in "([{" or "frac" in word:
        return OPEN, None
    if first in ")]}":
        return CLOSE, None
    if word in ("?", "□", "...", "…"):
        return HOLE, None
    return (NEWLINE, None) if first == "\n" else (OTHER, word)


def _number(word: str) -> Number | None:
    plain = word.rstrip(".…")
    plain = plain.replace(",", "")
    if len(plain) > _MAX_DIGITS or not plain.isascii():
        return None
    if plain.isdecimal():
        return int(plain)
    try:
        number = float(plain)
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


def _tokenize_spelled(folded: str) -> TokenTable:
    """Split a text with spelled-out numbers into tokens: these become numbers, other words are joined again."""
    kinds: list[int] = []
    starts: list[int] = []
    ends: list[int] = []
    values: list[object] = []
    skip_to = 0
    for match in _TOKEN_BY_WORD.finditer(folded):
        start, end = match.span()
        if start < skip_to:
            continue
        word = match[0]
        if word in NUMBER_WORDS and (spelled := _spelled(folded, start, end)) is not None:
            number, end = spelled
            skip_to = end
            kind: int = NUMBER
            value: object = number
        elif word[0].isalpha():
            if kinds and kinds[-1] == WORDS and folded[ends[-1] : start] == " ":
                ends[-1] = end
                values[-1] = folded[starts[-1] : end]
                continue
            kind, value = WORDS, word
        else:
            kind, value = _memory[word]
        kinds.append(kind)
        starts.append(start)
        ends.append(end)
        values.append(value)
    return TokenTable(bytes(kinds), starts, ends, tuple(values))


_OPERATOR_NEAR: Final = re.compile(
    r" (?:plus|minus|times|divided by|multiplied by|is|equals|gives|makes|makes|more|less|short)\b"
)
_OPERATOR_BEFORE: Final = re.compile(r"\b(?:plus|minus|times|by|is|equals|gives|get|to) $")


def _spelled(folded: str, start: int, end: int) -> tuple[Number, int] | None:
    """Return the number in words from `start` and its end; a small one only as an operand: not `one way`."""
    match = _COMPOUND.match(folded, start)
    if match is None:
        value = NUMBER_WORDS[folded[start:end]]
        near = _OPERATOR_NEAR.match(folded, end) or _OPERATOR_BEFORE.search(folded, max(0, start - 16), start)
        return (value, end) if value > _SMALL or near else None
    if match[1]:
        return NUMBER_WORDS[match[1]] + NUMBER_WORDS[match[2]], match.end()
    rest = sum(NUMBER_WORDS[part] for part in match.group(4, 5, 6) if part)
    return 100 * NUMBER_WORDS[match[3]] + rest, match.end()


_SMALL: Final = 10
