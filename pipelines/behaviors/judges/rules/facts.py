"""Finds facts about the arithmetic of a trace: wrong equations and illegal numbers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.expressions import ArithmeticExpression
from pipelines.behaviors.judges.rules.tokens import Number, key
from pipelines.records import ArithmeticFact, FactKind

_ROUNDED: Final = 0.01
"""Relative and absolute tolerance of a rounded number."""


def arithmetic_facts(
    text: str, computations: Sequence[Computation], numbers: Sequence[int], target: int
) -> tuple[ArithmeticFact, ...]:
    """Return the facts of a trace in order.

    Args:
        text: the completion.
        computations: as `read_computations` found them in it.
        numbers: the numbers given.
        target: the number to be reached.
    """
    given: Counter[Number] = Counter(numbers)
    known: set[Number] = set()
    facts: list[ArithmeticFact] = []
    for computation in computations:
        facts.extend(wrong_equations(text, computation))
        if not computation.on_last:
            facts.extend(_illegal_numbers(text, computation, given, known, target))
        known.update(key(side.value) for side in computation.sides if side.value is not None)
        if computation.result_key is not None:
            known.add(computation.result_key)
    return tuple(facts)


def wrong_equations(text: str, computation: Computation) -> Iterator[ArithmeticFact]:
    """Return the false equalities of a computation."""
    sides = computation.sides
    for left, right, exact in zip(sides, sides[1:], computation.exact, strict=False):
        if left.value is None or right.value is None or not exact or _equal(left, right):
            continue
        why = f"{_shown(left.value)} is not {_shown(right.value)}"
        yield _fact("wrong_equation", text, left.start, right.end, why)


def _equal(left: ArithmeticExpression, right: ArithmeticExpression) -> bool:
    assert left.value is not None
    assert right.value is not None
    difference = abs(left.value - right.value)
    if difference == 0:
        return True
    rounded = any(isinstance(operand, float) for side in (left, right) for operand in side.operands)
    return rounded and difference <= _ROUNDED * max(1.0, abs(left.value), abs(right.value))


def _shown(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def _illegal_numbers(
    text: str, computation: Computation, given: Counter[Number], known: set[Number], target: int
) -> Iterator[ArithmeticFact]:
    """Return the numbers of the computed side that are neither given nor a result, or that are used too often.

    Arithmetic that starts from the target is planning and may use anything.
    """
    main = computation.main
    if target in computation.keys and target not in given:
        return
    used = Counter(computation.keys)
    for value, count in used.items():
        if value in known or count <= given[value]:
            continue
        why = (
            f"{_shown(value)} is used {count} times in one expression and given {given[value]} times"
            if value in given
            else f"{_shown(value)} is neither given nor a result"
        )
        yield _fact("illegal_number", text, main.start, main.end, why)


def _fact(kind: FactKind, text: str, start: int, end: int, why: str) -> ArithmeticFact:
    return ArithmeticFact(kind=kind, start=start, end=end, quote=text[start:end], why=why)
