"""Parses arithmetic expressions over whole numbers and evaluates them as exact fractions.

The grammar is `+ - * /`, parentheses, unary signs and ASCII digits, nothing else: no powers, floor division,
decimals, underscores or implied products. Nothing recurses and the length is limited, so no text can hurt.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Final

from pipelines.errors import InvalidInput

MAX_LENGTH: Final = 1_000
"""Characters of the longest expression that is parsed. Six numbers of usual size need fewer than a hundred."""

MAX_DIGITS: Final = 1_000
"""Digits of the longest number that is parsed, because parsing digits takes quadratic time."""

_TOKEN: Final = re.compile(r"[0-9]+|[-+*/()]")
_STRANGE: Final = re.compile(r"[^0-9+\-*/() \t\n\r\f]")
_STRENGTH: Final = {"(": 0, "+": 1, "-": 1, "*": 2, "/": 2, "~": 3}
_NEGATE: Final = "~"

Token = int | str
"""In postfix order: a number, a binary operation, or `~` for a sign change."""


class ExpressionError(InvalidInput):
    """Not an expression of this grammar, or one without a value.

    Attributes:
        position: code-point offset of the mistake.
    """

    code: ClassVar[str] = "invalid_expression"

    def __init__(self, summary: str, position: int = 0) -> None:
        super().__init__(summary)
        self.position = position


class TooLong(ExpressionError):
    """An expression longer than the limit; it was not parsed."""


class DivisionByZero(ExpressionError):
    """A well-formed expression that divides by zero."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation of an expression, with exact operands and result."""

    left: Fraction
    operation: str
    right: Fraction
    result: Fraction


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression: its tokens in postfix order."""

    postfix: tuple[Token, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers in the order of the text."""
        return tuple([token for token in self.postfix if isinstance(token, int)])

    def value(self) -> Fraction:
        """Return the exact value.

        Raises:
            DivisionByZero: it has none.
        """
        return Fraction(*self.ratio())

    def ratio(self) -> tuple[int, int]:
        """Return the value as (numerator, denominator), not in lowest terms, denominator of any sign but not zero.

        Raises:
            DivisionByZero: it has no value.
        """
        stack: list[tuple[int, int]] = []
        for token in self.postfix:
            if isinstance(token, int):
                stack.append((token, 1))
                continue
            c, d = stack.pop()
            if token == _NEGATE:
                stack.append((-c, d))
                continue
            a, b = stack.pop()
            if token == "*":
                stack.append((a * c, b * d))
            elif token == "/":
                if c == 0:
                    raise DivisionByZero("the expression divides by zero")
                stack.append((a * d, b * c))
            elif token == "+":
                stack.append((a * d + c * b, b * d))
            else:
                stack.append((a * d - c * b, b * d))
        return stack[0]

    def steps(self) -> list[Step]:
        """Return the operations in the order they are carried out; a sign change is part of its operand.

        Raises:
            DivisionByZero: one of them cannot be carried out.
        """
        steps: list[Step] = []
        stack: list[Fraction] = []
        for token in self.postfix:
            if isinstance(token, int):
                stack.append(Fraction(token))
            elif token == _NEGATE:
                stack.append(-stack.pop())
            else:
                right, left = stack.pop(), stack.pop()
                steps.append(Step(left, token, right, _result(token, left, right)))
                stack.append(steps[-1].result)
        return steps


def _result(operation: str, left: Fraction, right: Fraction) -> Fraction:
    if operation == "+":
        return left + right
    if operation == "-":
        return left - right
    if operation == "*":
        return left * right
    if right == 0:
        raise DivisionByZero("the expression divides by zero")
    return left / right


def parse(text: str, *, limit: int = MAX_LENGTH) -> Expression:
    """Parse an expression; white space and line breaks separate tokens.

    Operator precedence by two stacks (Dijkstra's shunting yard), in time linear in the text.

    Raises:
        TooLong: it has more than `limit` characters.
        ExpressionError: says what stands where it may not.
    """
    if len(text) > limit:
        raise TooLong(f"the expression has {len(text):,} characters, more than {limit:,}", limit)
    strange = _STRANGE.search(text)
    if strange:
        raise ExpressionError(f"{strange[0]!r} is not part of an expression", strange.start())
    output: list[Token] = []
    waiting: list[str] = []
    operand_due = True
    for match in _TOKEN.finditer(text):
        token = match[0]
        if operand_due:
            if token == "(":
                waiting.append(token)
            elif token == "-":
                waiting.append(_NEGATE)
            elif token not in _STRENGTH and token != ")":
                output.append(_number(token, match.start()))
                operand_due = False
            elif token != "+":
                raise ExpressionError(f"{token!r} where a number was expected", match.start())
        elif token == ")":
            while waiting and waiting[-1] != "(":
                output.append(waiting.pop())
            if not waiting:
                raise ExpressionError("a parenthesis closes that was not opened", match.start())
            waiting.pop()
        elif token == "(" or token not in _STRENGTH:
            raise ExpressionError(f"{token!r} where an operation was expected", match.start())
        else:
            strength = _STRENGTH[token]
            while waiting and _STRENGTH[waiting[-1]] >= strength:
                output.append(waiting.pop())
            waiting.append(token)
            operand_due = True
    if operand_due:
        raise ExpressionError("the expression ends where a number was expected", len(text))
    while waiting:
        token = waiting.pop()
        if token == "(":
            raise ExpressionError("a parenthesis is not closed", len(text))
        output.append(token)
    return Expression(tuple(output))


def _number(token: str, position: int) -> int:
    if len(token) > MAX_DIGITS:
        raise ExpressionError(f"a number of {len(token):,} digits, more than {MAX_DIGITS:,}", position)
    if token[0] == "0" and len(token) > 1:
        raise ExpressionError(f"the number {token} starts with a zero", position)
    return int(token)


def evaluate(text: str, *, limit: int = MAX_LENGTH) -> Fraction:
    """Return the exact value of an expression.

    Raises:
        ExpressionError: it is not one, or has no value.
    """
    return parse(text, limit=limit).value()
