"""Parses one arithmetic expression from tokens: its extent, operands and value."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.behaviors.judges.rules.tokens import (
    CLOSE,
    FRACTION,
    GLUE,
    HOLE,
    NUMBER,
    OPEN,
    OPERATOR,
    RELATION,
    WORD_OPERATORS,
    WORDS,
    Number,
    TokenTable,
)

_PRECEDENCE: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}
_LARGEST: Final = 10**15
_DEEPEST: Final = 40
"""Limit of open brackets and pending operators of an expression; it bounds the time to linear."""
_MOST_TOKENS: Final = 400
"""Limit of tokens of an expression; a longer one is parsed in pieces."""
_HOLE_WORDS: Final = frozenset(
    (
        "something",
        "remainder",
        "rest",
        "other",
        "unknown",
        "whatever",
        "n",
        "x",
        "y",
        "z",
        "a",
        "b",
        "c",
        "something else",
    )
)


@dataclass(slots=True)
class ArithmeticExpression:
    """An expression as written. `value` is None if it has a placeholder or no value."""

    start: int
    end: int
    value: Number | None
    operands: tuple[Number, ...]
    """Its numbers, in order."""
    operators: int
    form: str
    """Canonical spelling with spaces around every sign, so that parts can be searched: ` 94 + 86 `."""
    holes: int = 0
    first: int = 0
    """Index of its first token; `after` is one past the last."""
    after: int = 0


def read_expression(tokens: TokenTable, index: int) -> ArithmeticExpression | None:
    """Return the longest expression that starts at a token, or None.

    Brackets that are opened and not closed belong to the sentence, not to the expression.
    """
    plain = _plain_expression(tokens, index)
    if plain is not None:
        return plain
    kinds, values, size = tokens.kinds, tokens.values, len(tokens.kinds)
    numbers: list[Number | None] = []
    pending: list[str] = []
    operands: list[Number] = []
    form: list[str] = []
    holes = operators = 0
    first = after = -1
    wants_operand = True
    size = min(size, index + _MOST_TOKENS)
    while index < size:
        kind = kinds[index]
        if kind == GLUE:
            index += 1
            continue
        if wants_operand:
            if kind == NUMBER:
                number: Number = values[index]  # type: ignore[assignment]
                if form and form[-1] == "~":
                    form.pop()
                    number = -number
                numbers.append(number)
                operands.append(number)
                form.append(str(number))
                wants_operand = False
                after = index + 1
            elif kind == OPEN and len(pending) < _DEEPEST:
                pending.append("(")
                form.append("(")
            elif kind == OPERATOR and values[index] == "-" and _is_sign(tokens, index, bool(form)):
                form.append("~")
            elif form and (kind == HOLE or (kind == WORDS and values[index] in _HOLE_WORDS)):
                numbers.append(None)
                holes += 1
                form.append("?")
                wants_operand = False
                after = index + 1
            else:
                break
            if first < 0:
                first = index
            index += 1
            continue
        sign = _operator(tokens, index)
        if sign:
            behind = _operand_behind(tokens, index)
            if not behind:
                break
            while pending and pending[-1] != "(" and _PRECEDENCE[pending[-1]] >= _PRECEDENCE[sign]:
                _apply(numbers, pending.pop())
            pending.append(sign)
            form.append(sign)
            operators += 1
            wants_operand = True
            index += 1
        elif kind == CLOSE and "(" in pending:
            while pending[-1] != "(":
                _apply(numbers, pending.pop())
            pending.pop()
            form.append(")")
            index += 1
            after = index
        elif kind == FRACTION and "(" in pending:
            while pending[-1] != "(":
                _apply(numbers, pending.pop())
            pending.pop()
            pending += ["/", "("]
            form += [")", "/", "("]
            operators += 1
            wants_operand = True
            index += 1
        elif kind == OPEN and index and tokens.ends[index - 1] == tokens.starts[index] and _closes(tokens, index):
            pending += ["*", "("]
            form += ["*", "("]
            operators += 1
            wants_operand = True
            index += 1
        else:
            break
    if after < 0 or not numbers:
        return None
    if wants_operand and operators:  # an operator or bracket at the end that nothing follows
        while pending and pending[-1] == "(":
            pending.pop()
            form.pop()
        if pending and len(numbers) <= sum(sign != "(" for sign in pending):
            pending.pop()
            operators -= 1
    textual = 0
    while pending:
        sign = pending.pop()
        if sign == "(":
            textual += 1
        elif len(numbers) >= 2:
            _apply(numbers, sign)
    while textual and form and form[0] == "(":
        form.pop(0)
        first = _next(tokens, first)
        textual -= 1
    return ArithmeticExpression(
        start=tokens.starts[first],
        end=tokens.ends[after - 1],
        value=numbers[0] if len(numbers) == 1 else None,
        operands=tuple(operands),
        operators=operators,
        form=_spelling(form),
        holes=holes,
        first=first,
        after=after,
    )


_PLAIN: Final = re.compile(
    rb"%c(?:%c%c){0,%d}(?![%c%c])" % (NUMBER, OPERATOR, NUMBER, _MOST_TOKENS // 2 - 1, OPERATOR, GLUE)
)
"""Matches numbers joined by operators, not followed by an operator or mark that may continue them."""


def _plain_expression(tokens: TokenTable, index: int) -> ArithmeticExpression | None:
    """Parse a number, or numbers joined by signs, without the general parser; None if that is needed."""
    kinds = tokens.kinds
    match = _PLAIN.match(kinds, index)
    if match is None:
        return None
    after = match.end()
    if after < len(kinds):
        if kinds[after] == WORDS and tokens.values[after] in WORD_OPERATORS:
            return None
        if kinds[after] == OPEN and tokens.starts[after] == tokens.ends[after - 1]:
            return None
    start, end = tokens.starts[index], tokens.ends[after - 1]
    if after == index + 1:
        number: Number = tokens.values[index]  # type: ignore[assignment]
        return ArithmeticExpression(start, end, number, (number,), 0, "", 0, index, after)
    operands: tuple[Number, ...] = tokens.values[index:after:2]  # type: ignore[assignment]
    signs: tuple[str, ...] = tokens.values[index + 1 : after : 2]  # type: ignore[assignment]
    if len(signs) == 1:
        left, right = operands
        form = f" {left} {signs[0]} {right} "
        return ArithmeticExpression(start, end, compute(left, signs[0], right), operands, 1, form, 0, index, after)
    form = f" {' '.join(map(str, tokens.values[index:after]))} "
    return ArithmeticExpression(start, end, _total(operands, signs), operands, len(signs), form, 0, index, after)


def _total(operands: Sequence[Number], signs: Sequence[str]) -> Number | None:
    """Return the value of numbers joined by several signs."""
    if "^" in signs:
        return None
    if "*" not in signs and "/" not in signs:
        terms = zip(signs, operands[1:], strict=True)
        result = operands[0] + sum(operand if sign == "+" else -operand for sign, operand in terms)
        return result if abs(result) <= _LARGEST else None
    total: Number | None = 0
    adding = "+"
    term: Number | None = operands[0]
    for sign, operand in zip(signs, operands[1:], strict=True):
        if sign in "*/":
            term = None if term is None else compute(term, sign, operand)
            continue
        total = None if total is None or term is None else compute(total, adding, term)
        adding, term = sign, operand
    return None if total is None or term is None else compute(total, adding, term)


def _spelling(form: list[str]) -> str:
    while len(form) > 2 and form[0] == "(" and form[-1] == ")" and _wraps(form):
        form = form[1:-1]
    return f" {' '.join(form)} "


def _wraps(form: list[str]) -> bool:
    depth = 0
    for place, sign in enumerate(form):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place == len(form) - 1
    return False


def _operator(tokens: TokenTable, index: int) -> str | None:
    """Return the operator that a token means between two operands."""
    kind = tokens.kinds[index]
    if kind == OPERATOR:
        return str(tokens.values[index])
    if kind == WORDS:
        return WORD_OPERATORS.get(str(tokens.values[index]))
    return None


def _operand_behind(tokens: TokenTable, index: int) -> bool:
    """Return whether an operand follows an operator."""
    behind = _next(tokens, index)
    if behind >= len(tokens):
        return False
    kind = tokens.kinds[behind]
    if kind in (NUMBER, HOLE):
        return True
    if kind == WORDS:
        return tokens.values[behind] in _HOLE_WORDS
    if kind == OPEN:
        return _closes(tokens, behind)
    return kind == OPERATOR and tokens.values[behind] == "-" and _is_sign(tokens, behind, inside=True)


def _closes(tokens: TokenTable, index: int) -> bool:
    """Return whether a bracket opens an expression rather than a remark: `(5 + 3)`, not `(5 too many)`."""
    inside = _next(tokens, index)
    depth = 0
    while inside < len(tokens) and tokens.kinds[inside] == OPEN and depth < _DEEPEST:
        inside = _next(tokens, inside)
        depth += 1
    if inside >= len(tokens) or tokens.kinds[inside] not in (NUMBER, OPERATOR):
        return False
    behind = _next(tokens, inside)
    if tokens.kinds[inside] == OPERATOR:
        return behind < len(tokens) and tokens.kinds[behind] == NUMBER
    return (
        behind >= len(tokens)
        or tokens.kinds[behind] in (OPERATOR, CLOSE, FRACTION)
        or (tokens.kinds[behind] == WORDS and tokens.values[behind] in WORD_OPERATORS)
    )


def _is_sign(tokens: TokenTable, index: int, inside: bool) -> bool:
    """Return whether a minus is the sign of the next number, not a bullet or a dash."""
    behind = index + 1
    if behind >= len(tokens) or tokens.kinds[behind] != NUMBER or tokens.starts[behind] != tokens.ends[index]:
        return False
    if inside or index == 0 or tokens.ends[index - 1] < tokens.starts[index]:
        return True
    return tokens.kinds[index - 1] in (RELATION, GLUE, OPEN)


def _next(tokens: TokenTable, index: int) -> int:
    index += 1
    while index < len(tokens) and tokens.kinds[index] == GLUE:
        index += 1
    return index


def _apply(numbers: list[Number | None], sign: str) -> None:
    right = numbers.pop()
    left = numbers.pop()
    numbers.append(None if left is None or right is None else compute(left, sign, right))


def compute(left: Number, sign: str, right: Number) -> Number | None:
    """Return the result of an operation; None if it has none or exceeds the range of numbers in traces."""
    if sign == "+":
        result: Number = left + right
    elif sign == "-":
        result = left - right
    elif sign == "*":
        result = left * right
    elif sign == "/":
        if right == 0:
            return None
        result = left / right
    else:
        if not (isinstance(right, int) and 0 <= right <= _LARGEST_POWER and abs(left) <= _LARGEST_BASE):
            return None
        result = left**right
    if abs(result) > _LARGEST:
        return None
    return int(result) if isinstance(result, float) and result.is_integer() else result


_LARGEST_POWER: Final = 6
_LARGEST_BASE: Final = 1000
