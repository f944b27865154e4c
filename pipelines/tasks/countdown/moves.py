"""The steps of the solver's searches: split the numbers, apply an operation, invert one."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple

from pipelines.tasks.countdown.rules import Arithmetic, Rational, combine

ZERO: Final = (0, 1)

Multiset = tuple[int, ...]
"""A subset of the given numbers, sorted."""


@lru_cache(maxsize=4096)
def splits(numbers: Multiset) -> tuple[tuple[Multiset, Multiset], ...]:
    """Return all distinct splits of numbers in two parts, as (smaller, larger), the most even first."""
    parts: dict[tuple[Multiset, Multiset], None] = {}
    indices = range(len(numbers))
    for size in range(len(numbers) // 2, 0, -1):
        for chosen in combinations(indices, size):
            few = tuple([numbers[index] for index in chosen])
            others = tuple([numbers[index] for index in indices if index not in chosen])
            if (others, few) not in parts:
                parts[few, others] = None
    return tuple(parts)


Outcome = tuple[Rational, str, bool]
"""A result, its operation, and whether the operands are swapped (`right - left`)."""


class Outcomes:
    """The operations of an arithmetic on two operands, in both orders.

    The innermost work of the solver: written out in one function, with the bounds at hand.
    """

    __slots__ = ("_admits", "_operations")

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._operations = arithmetic.operations
        self._admits = arithmetic.admits if arithmetic.bounded or arithmetic.integers_only else None

    def __call__(self, left: Rational, right: Rational) -> list[Outcome]:
        """Return the results that the arithmetic admits; divisions by zero left out.

        Of the two differences the one that is not negative comes first: solutions then read as people write them.
        """
        (a, b), (c, d) = left, right
        found: list[Outcome] = []
        for operation in self._operations:
            if operation == "/":
                if c:
                    found.append((_lowest(a * d, b * c), "/", False))
                if a:
                    found.append((_lowest(b * c, a * d), "/", True))
                continue
            if operation == "*":
                numerator, denominator = a * c, b * d
            elif operation == "+":
                numerator, denominator = a * d + c * b, b * d
            else:
                numerator, denominator = a * d - c * b, b * d
            if denominator != 1:
                common = math.gcd(numerator, denominator)
                numerator //= common
                denominator //= common
            if operation != "-":
                found.append(((numerator, denominator), operation, False))
            elif numerator >= 0:
                found += [((numerator, denominator), "-", False), ((-numerator, denominator), "-", True)]
            else:
                found += [((-numerator, denominator), "-", True), ((numerator, denominator), "-", False)]
        if self._admits is None:
            return found
        return [outcome for outcome in found if self._admits(outcome[0])]


def _lowest(numerator: int, denominator: int) -> Rational:
    common = math.gcd(numerator, denominator) if denominator > 0 else -math.gcd(numerator, denominator)
    return numerator // common, denominator // common


class Needed(NamedTuple):
    """The value of the unknown operand for which an operation with a known one gives the target."""

    value: Rational | None
    """None: any value is possible (any but zero as a divisor)."""
    operation: str
    known_first: bool


def undo(target: Rational, known: Rational, operations: str) -> Iterator[Needed]:
    """Yield the values of `other` for which `other operation known` or `known operation other` is the target."""
    for operation in operations:
        if operation == "+":
            yield Needed(combine("-", target, known), "+", False)
        elif operation == "-":
            yield Needed(combine("+", target, known), "-", False)
            yield Needed(combine("-", known, target), "-", True)
        elif operation == "*":
            if known != ZERO:
                yield Needed(combine("/", target, known), "*", False)
            elif target == ZERO:
                yield Needed(None, "*", False)
        elif known != ZERO:
            yield Needed(combine("*", target, known), "/", False)
            if target != ZERO:
                yield Needed(combine("/", known, target), "/", True)
        elif target == ZERO:
            yield Needed(None, "/", True)
