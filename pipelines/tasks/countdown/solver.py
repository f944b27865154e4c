"""Exact solver of Countdown problems in rational arithmetic, for up to six numbers.

One solution is found by meeting in the middle: the values of at most three of the numbers are tabulated, and
what the others must then be worth follows by undoing the last operation. Six numbers without a solution
are settled in a fraction of a second, where trying every expression would take minutes.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.distinct import distinct_solutions
from pipelines.tasks.countdown.moves import ZERO, Multiset, Outcome, Outcomes, splits, undo
from pipelines.tasks.countdown.problem import MAX_NUMBERS
from pipelines.tasks.countdown.rules import ANY, Arithmetic, Rational
from pipelines.tasks.countdown.written import Written, join, number

_TABULATED: Final = 3


def solve(numbers: Sequence[int], target: int, arithmetic: Arithmetic = ANY, *, subset: bool = False) -> str | None:
    """Return one solution as text that `expression.parse` reads, or None where there is none.

    Args:
        numbers: one to six numbers, none negative, each to be used exactly once.
        target: what the expression must be worth, exactly.
        arithmetic: operations allowed and bounds on their results.
        subset: whether numbers may be left out; then the solution uses as few as possible.

    Raises:
        InvalidInput: no numbers, more than six, or a negative one.
    """
    search = _Search(arithmetic)
    for chosen in _choices(numbers, subset):
        found = search.find(chosen, (target, 1))
        if found is not None:
            return search.write(chosen, found).text
    return None


def solutions(
    numbers: Sequence[int], target: int, arithmetic: Arithmetic = ANY, *, subset: bool = False
) -> Iterator[str]:
    """Yield all distinct solutions, each once, as text. Arguments and errors as for `solve`.

    Two expressions count as one when they differ only in the order or grouping of terms and factors, or in
    where a sign stands: `a - (b - c)` is `a + c - b`, `a / (b / c)` is `a * c / b`, and equal numbers are alike.
    """
    return (
        text for chosen in _choices(numbers, subset) for text in distinct_solutions(chosen, (target, 1), arithmetic)
    )


def reachable(numbers: Sequence[int], arithmetic: Arithmetic = ANY) -> set[int]:
    """Return the whole numbers that can be made from all the numbers, each used exactly once.

    Five numbers take a fraction of a second; six take seconds and some hundreds of megabytes.

    Raises:
        InvalidInput: as for `solve`.
    """
    (chosen,) = _choices(numbers, subset=False)
    return {value for value, denominator in _Search(arithmetic).values(chosen) if denominator == 1}


def _choices(numbers: Sequence[int], subset: bool) -> list[Multiset]:
    if not 1 <= len(numbers) <= MAX_NUMBERS:
        raise InvalidInput(f"the solver takes 1 to {MAX_NUMBERS} numbers, not {len(numbers)}")
    given = tuple(sorted(numbers))
    if given[0] < 0:
        raise InvalidInput(f"the solver takes no negative numbers, and {given[0]} is one")
    if not subset:
        return [given]
    return list(dict.fromkeys(chosen for size in range(1, len(given) + 1) for chosen in combinations(given, size)))


class _Origin(NamedTuple):
    """The derivation of a value: an operation on two values over two parts of the numbers, formatted on demand."""

    operation: str
    left: Multiset
    left_origin: "_Origin | None"
    right: Multiset
    right_origin: "_Origin | None"


_Found = tuple[_Origin | None]
"""The origin of a value that was found, in a tuple, because the origin of a given number is None."""


class _Search:
    """One search: its tables are shared between the parts of a problem."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._outcomes = Outcomes(arithmetic)
        self._tables: dict[Multiset, dict[Rational, _Origin | None]] = {}
        self._failed: set[tuple[Multiset, Rational]] = set()

    def find(self, numbers: Multiset, target: Rational) -> _Found | None:
        """Return a derivation of the target from all the numbers."""
        if len(numbers) <= _TABULATED:
            table = self.values(numbers)
            return (table[target],) if target in table else None
        if (numbers, target) in self._failed or not self._arithmetic.admits(target):
            return None
        for few, others in splits(numbers):
            for known, origin in self.values(few).items():
                for value, operation, known_first in undo(target, known, self._arithmetic.operations):
                    if value is None:
                        found = self._anything(others, nonzero=operation == "/")
                    else:
                        found = self.find(others, value)
                    if found is not None:
                        if known_first:
                            return (_Origin(operation, few, origin, others, found[0]),)
                        return (_Origin(operation, others, found[0], few, origin),)
        self._failed.add((numbers, target))
        return None

    def values(self, numbers: Multiset) -> Mapping[Rational, _Origin | None]:
        """Return every value that uses all the numbers, each with one origin."""
        table = self._tables.get(numbers)
        if table is None:
            table = self._tables[numbers] = {}
            if len(numbers) == 1:
                table[numbers[0], 1] = None
            for few, others in splits(numbers):
                right_table = self.values(others)
                for left, left_origin in self.values(few).items():
                    for right, right_origin in right_table.items():
                        for outcome in self._outcomes(left, right):
                            if outcome[0] not in table:
                                table[outcome[0]] = _origin(outcome, few, left_origin, others, right_origin)
        return table

    def write(self, numbers: Multiset, found: _Found) -> Written:
        """Return the expression of an origin."""
        (origin,) = found
        if origin is None:
            return number(numbers[0])
        left = self.write(origin.left, (origin.left_origin,))
        right = self.write(origin.right, (origin.right_origin,))
        return join(origin.operation, left, right, regroup=not self._arithmetic.bounded)

    def _anything(self, numbers: Multiset, *, nonzero: bool) -> _Found | None:
        """Return a derivation of any value but zero from all the numbers."""
        return next(((origin,) for value, origin in self._lazily(numbers) if not (nonzero and value == ZERO)), None)

    def _lazily(self, numbers: Multiset) -> Iterator[tuple[Rational, _Origin | None]]:
        """Yield values with their origins, some of them repeated; the first is found at once."""
        if len(numbers) <= _TABULATED:
            yield from self.values(numbers).items()
            return
        for few, others in splits(numbers):
            for left, left_origin in self.values(few).items():
                for right, right_origin in self._lazily(others):
                    for outcome in self._outcomes(left, right):
                        yield outcome[0], _origin(outcome, few, left_origin, others, right_origin)


def _origin(
    outcome: Outcome, few: Multiset, few_origin: _Origin | None, others: Multiset, others_origin: _Origin | None
) -> _Origin:
    _, operation, swapped = outcome
    if swapped:
        return _Origin(operation, others, others_origin, few, few_origin)
    return _Origin(operation, few, few_origin, others, others_origin)
