"""Enumerates the distinct solutions of a problem: expressions up to order, grouping and position of signs."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pipelines.tasks.countdown.moves import ZERO, Multiset, Outcomes, splits, undo
from pipelines.tasks.countdown.rules import Arithmetic, Rational
from pipelines.tasks.countdown.written import Written, join, number

_TABULATED: Final = 4


class _Form(NamedTuple):
    """An expression and its identity: a canonical node and a sign."""

    node: int
    sign: int
    operation: str
    """Empty for a given number, whose value is that of `node`."""
    operands: "tuple[_Form, _Form] | None"
    leaf: int = 0


_Terms = tuple[tuple[int, int], ...]
"""The terms of a sum as (node, sign), sorted."""

_Forms = Mapping[Rational, list[_Form]]


class _Nodes:
    """Canonical nodes, each numbered once: given numbers, sums of signed nodes, quotients of products.

    A node stands for an expression and its negative: sums are turned to one of their two signs, and the signs of
    factors are pulled out. So expressions are the same when node and sign are the same.
    """

    def __init__(self) -> None:
        self._ids: dict[tuple[object, ...], int] = {}
        self._terms: dict[int, _Terms] = {}
        self._factors: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
        self._own_negative: set[int] = set()
        """Nodes such as `3 - 3`, which become their negative if equal numbers are exchanged: they have no sign."""

    def given(self, value: int) -> _Form:
        """Return the node of a given number; equal numbers share one."""
        return _Form(self._id(("given", value)), 1, "", None, value)

    def join(self, operation: str, left: _Form, right: _Form) -> _Form:
        """Return `left operation right`."""
        if operation in "+-":
            node, sign = self._sum(left, right, 1 if operation == "+" else -1)
        else:
            node, sign = self._quotient(left, right, operation == "/")
        return _Form(node, 1 if node in self._own_negative else sign, operation, (left, right))

    def _sum(self, left: _Form, right: _Form, right_sign: int) -> tuple[int, int]:
        terms = self._signed_terms(left, 1) + self._signed_terms(right, right_sign)
        plain = tuple(sorted(terms))
        turned = tuple(sorted([(node, -sign) for node, sign in terms]))
        sign = 1 if plain <= turned else -1
        chosen = min(plain, turned)
        node = self._id(("sum", chosen))
        self._terms[node] = chosen
        if plain == turned:
            self._own_negative.add(node)
        return node, sign

    def _signed_terms(self, form: _Form, sign: int) -> list[tuple[int, int]]:
        terms = self._terms.get(form.node)
        if terms is None:
            return [(form.node, 1 if form.node in self._own_negative else form.sign * sign)]
        return [(node, 1 if node in self._own_negative else each * form.sign * sign) for node, each in terms]

    def _quotient(self, left: _Form, right: _Form, inverted: bool) -> tuple[int, int]:
        above, below = self._factors.get(left.node, ((left.node,), ()))
        other_above, other_below = self._factors.get(right.node, ((right.node,), ()))
        if inverted:
            other_above, other_below = other_below, other_above
        parts = tuple(sorted(above + other_above)), tuple(sorted(below + other_below))
        node = self._id(("quotient", *parts))
        self._factors[node] = parts
        if not self._own_negative.isdisjoint(parts[0]):
            self._own_negative.add(node)
        return node, left.sign * right.sign

    def _id(self, key: tuple[object, ...]) -> int:
        return self._ids.setdefault(key, len(self._ids))


def distinct_solutions(numbers: Multiset, target: Rational, arithmetic: Arithmetic) -> Iterator[str]:
    """Yield the distinct expressions over all the numbers whose value is the target.

    Args:
        numbers: one to six given numbers, none negative, in order of size.
        target: the value, in lowest terms.
        arithmetic: operations allowed and bounds on their results.
    """
    for form in Enumeration(arithmetic).worth(numbers, target):
        yield _write(form, regroup=not arithmetic.bounded).text


def _write(form: _Form, *, regroup: bool) -> Written:
    if form.operands is None:
        return number(form.leaf)
    left, right = (_write(operand, regroup=regroup) for operand in form.operands)
    return join(form.operation, left, right, regroup=regroup)


class Enumeration:
    """Distinct expressions over subsets of the numbers: a table by value for few, inverted operations for more."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._outcomes = Outcomes(arithmetic)
        self._nodes = _Nodes()
        self._tables: dict[Multiset, dict[Rational, list[_Form]]] = {}
        self._worth: dict[tuple[Multiset, Rational], list[_Form]] = {}

    def worth(self, numbers: Multiset, target: Rational) -> list[_Form]:
        """Return the distinct expressions over all the numbers whose value is the target."""
        if len(numbers) <= _TABULATED:
            return self.table(numbers).get(target, [])
        if (numbers, target) not in self._worth:
            distinct: dict[tuple[int, int], _Form] = {}
            if self._arithmetic.admits(target):
                for form in self._undone(numbers, target):
                    distinct.setdefault((form.node, form.sign), form)
            self._worth[numbers, target] = list(distinct.values())
        return self._worth[numbers, target]

    def _undone(self, numbers: Multiset, target: Rational) -> Iterator[_Form]:
        for few, others in splits(numbers):
            for known, known_forms in self.table(few).items():
                for value, operation, known_first in undo(target, known, self._arithmetic.operations):
                    other_forms = (
                        self._any(others, nonzero=operation == "/") if value is None else self.worth(others, value)
                    )
                    for other in other_forms:
                        for form in known_forms:
                            operands = (form, other) if known_first else (other, form)
                            yield self._nodes.join(operation, *operands)

    def _any(self, numbers: Multiset, *, nonzero: bool) -> list[_Form]:
        table = self.table(numbers)
        return [form for value, forms in table.items() if not (nonzero and value == ZERO) for form in forms]

    def table(self, numbers: Multiset) -> _Forms:
        """Return the distinct expressions over all the numbers, by value."""
        known = self._tables.get(numbers)
        if known is not None:
            return known
        table: dict[Rational, list[_Form]] = defaultdict(list)
        if len(numbers) == 1:
            table[numbers[0], 1].append(self._nodes.given(numbers[0]))
        seen: set[tuple[int, int]] = set()
        for few, others in splits(numbers):
            others_table = self.table(others)
            for left, left_forms in self.table(few).items():
                for right, right_forms in others_table.items():
                    for value, operation, swapped in self._outcomes(left, right):
                        for first in left_forms:
                            for second in right_forms:
                                operands = (second, first) if swapped else (first, second)
                                form = self._nodes.join(operation, *operands)
                                if (form.node, form.sign) not in seen:
                                    seen.add((form.node, form.sign))
                                    table[value].append(form)
        self._tables[numbers] = dict(table)
        return self._tables[numbers]
