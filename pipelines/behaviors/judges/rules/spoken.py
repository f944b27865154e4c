"""Arithmetic expressed in words: `multiply 20 by 3`, `subtracting 8 from 50`, `the sum of 12 and 30`, `add 14`."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pipelines.behaviors.judges.rules.expressions import ArithmeticExpression, compute
from pipelines.behaviors.judges.rules.tokens import GLUE, NUMBER, OTHER, WORDS, Number, TokenTable

_VERBS: Final = re.compile(
    r"\b(?:add|adding|adds|added|subtract|subtracting|subtracts|subtracted|take|taking|deduct|multiply|multiplying"
    r"|multiplies|multiplied|divide|dividing|divides|divided|sum of|difference (?:between|of)|product of|quotient of)\b"
)
VERB_STEMS: Final = (
    *("add", "subtract", "tak", "deduct", "multipl", "divid", "sum of", "difference", "product of", "quotient of"),
    *("plus", "minus", "times", "加", "减", "乘", "除"),
)
"""A text without any of these stems has no arithmetic in words; cheaper to search for than the verbs."""

_SIGN: Final = {"a": "+", "s": "+", "m": "*", "p": "*", "q": "/"}
_BEFORE: Final = frozenset(
    (
        "",
        "the",
        "away",
        "number",
        "numbers",
        "both",
        "up",
        "just",
        "all",
        "of",
        "together",
        "result",
        "by",
        "another",
        "only",
    )
)
_LINK: Final = re.compile(r"^(?:and|to|from|by|with|plus|into)(?: (?:the|number|both))*$")
_RESULT_OF_LAST: Final = re.compile(
    r"(?:it|that|this|the (?:result|sum|total|difference|product)) (?P<link>by|from|to|and|with)$"
)


@dataclass(slots=True)
class SpokenOperation:
    """An operation in words, and whether its first operand is the last result, not named."""

    expression: ArithmeticExpression
    on_last: bool


@lru_cache(maxsize=1 << 14)
def find_verb(words: str) -> int:
    """Return the offset of the first arithmetic verb in a run of words, or -1."""
    match = _VERBS.search(words)
    return -1 if match is None else match.start()


def read_spoken(tokens: TokenTable, folded: str, index: int, at: int) -> SpokenOperation | None:
    """Read the operation of the verb at offset `at` in the words token `index`; None if it is none."""
    run_end = tokens.ends[index]
    verb = _VERBS.match(folded, at)
    if verb is None:
        return None
    name = verb[0]
    rest = folded[verb.end() : run_end].strip()
    back = _RESULT_OF_LAST.search(rest)
    if back is None and not all(word in _BEFORE for word in rest.split(" ")):
        return None
    first = _number_at(tokens, index + 1)
    if first is None:
        return None
    sign = _sign(name)
    if back is not None:
        operands: tuple[Number, ...] = (_value(tokens, first),)
        return SpokenOperation(_expression(tokens, at, first, operands, sign, None), on_last=True)
    link_at = _over_glue(tokens, first + 1)
    link = ""
    if link_at < len(tokens) and tokens.kinds[link_at] == WORDS:
        link = str(tokens.values[link_at])
    elif link_at < len(tokens) and tokens.kinds[link_at] == OTHER and tokens.values[link_at] == ",":
        link = "and"
    left = _value(tokens, first)
    second = _number_at(tokens, link_at + 1) if _LINK.match(link) else None
    if second is None:
        on_last = sign in "+-*/" and not link.startswith("and ")
        end = first
        return SpokenOperation(_expression(tokens, at, end, (left,), sign, None), on_last=on_last) if on_last else None
    right = _value(tokens, second)
    if sign == "-" and link.startswith("from"):
        left, right = right, left
    value = compute(left, sign, right)
    return SpokenOperation(_expression(tokens, at, second, (left, right), sign, value), on_last=False)


def _sign(name: str) -> str:
    if name.startswith(("sub", "take", "taking", "ded", "diff")):
        return "-"
    if name.startswith("div"):
        return "/"
    return _SIGN[name[0]]


def _expression(
    tokens: TokenTable, start: int, last: int, operands: tuple[Number, ...], sign: str, value: Number | None
) -> ArithmeticExpression:
    form = f" {f' {sign} '.join(map(str, operands))} " if len(operands) > 1 else f" {sign} {operands[0]} "
    return ArithmeticExpression(
        start=start,
        end=tokens.ends[last],
        value=value,
        operands=operands,
        operators=1,
        form=form,
        first=last,
        after=last + 1,
    )


def _number_at(tokens: TokenTable, index: int) -> int | None:
    index = _over_glue(tokens, index)
    return index if index < len(tokens) and tokens.kinds[index] == NUMBER else None


def _over_glue(tokens: TokenTable, index: int) -> int:
    while index < len(tokens) and tokens.kinds[index] == GLUE:
        index += 1
    return index


def _value(tokens: TokenTable, index: int) -> Number:
    value = tokens.values[index]
    assert isinstance(value, int | float)
    return value
