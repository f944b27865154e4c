"""Whole-number arithmetic of the teacher: legal operations, chains of equations, expressions as trees.

The teacher writes whole results only, even if a problem's arithmetic allows fractions.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from pipelines.tasks.countdown.rules import Arithmetic

_CACHE_LIMIT: Final = 200_000
_LARGEST: Final = 9_999
"""Largest absolute value the teacher writes; people do not try seven-digit products either."""
_SANE_DRAWS: Final = 3

Tree = int | tuple["Tree", str, "Tree"]
"""An expression: a number, or (left, operation, right)."""


class Equation(NamedTuple):
    """One equation, `left operation right = result`."""

    left: int
    operation: str
    right: int
    result: int


class Operand(NamedTuple):
    """A number available for the next equation, and the expression it came from."""

    value: int
    tree: Tree


@dataclass(frozen=True, slots=True)
class EquationChain:
    """A combination of numbers into one: its equations in order; none for a single number."""

    steps: tuple[Equation, ...]
    item: Operand

    @property
    def value(self) -> int:
        """The value of the combination."""
        return self.item.value


class Calculator:
    """The legal whole-number operations of an `Arithmetic`, cached per pair of operands.

    Args:
        arithmetic: of the task.
        negative: whether negative results are allowed, if the arithmetic allows them.
    """

    def __init__(self, arithmetic: Arithmetic, *, negative: bool = True) -> None:
        least = -_LARGEST if negative else 0
        self.arithmetic = Arithmetic(
            operations=arithmetic.operations,
            minimum=least if arithmetic.minimum is None else max(least, arithmetic.minimum),
            maximum=_LARGEST if arithmetic.maximum is None else min(_LARGEST, arithmetic.maximum),
            integers_only=True,
        )
        self._results: dict[tuple[int, int], tuple[tuple[str, int], ...]] = {}

    def results(self, left: int, right: int) -> tuple[tuple[str, int], ...]:
        """Return every legal (operation, result) for these operands in this order."""
        known = self._results.get((left, right))
        if known is None:
            known = tuple(
                (sign, value[0])
                for sign in self.arithmetic.operations
                if (value := self.arithmetic.apply(sign, (left, 1), (right, 1))) is not None
            )
            if len(self._results) >= _CACHE_LIMIT:
                self._results.clear()
            self._results[left, right] = known
        return known

    def apply(self, operation: str, left: int, right: int) -> int | None:
        """Return the result; None if it is not legal or not whole."""
        return next((value for sign, value in self.results(left, right) if sign == operation), None)

    def random_chain(
        self, numbers: Sequence[int], rng: random.Random, *, sane: int | None = None
    ) -> EquationChain | None:
        """Combine all the numbers by random legal operations; None in a dead end.

        Args:
            numbers: the numbers.
            rng: source of random choices.
            sane: results above this or below zero are mostly avoided; None draws all alike.
        """
        pool = [Operand(number, number) for number in numbers]
        steps: list[Equation] = []
        while len(pool) > 1:
            step = self._random_step(pool, rng, sane)
            if step is None:
                return None
            steps.append(step)
        return EquationChain(tuple(steps), pool[0])

    def _random_step(self, pool: list[Operand], rng: random.Random, sane: int | None) -> Equation | None:
        choices = [
            (i, j, sign, value)
            for i, left in enumerate(pool)
            for j, right in enumerate(pool)
            if i != j
            for sign, value in self.results(left.value, right.value)
        ]
        if not choices:
            return None
        for _ in range(_SANE_DRAWS):
            i, j, sign, value = choices[int(rng.random() * len(choices))]
            if sane is None or 0 <= value <= sane:
                break
        left, right = pool[i], pool[j]
        pool[:] = [item for k, item in enumerate(pool) if k not in (i, j)]
        pool.append(Operand(value, (left.tree, sign, right.tree)))
        return Equation(left.value, sign, right.value, value)


def extend(chain: EquationChain, step: Equation, tree: Tree) -> EquationChain:
    """Return the chain with one more equation."""
    return EquationChain((*chain.steps, step), Operand(step.result, tree))


CanonicalForm = int | tuple[str, tuple["CanonicalForm", ...], tuple["CanonicalForm", ...]]
"""A sum as (`+`, terms added, terms taken away), a product as (`*`, factors, divisors), each sorted."""


def canonical(tree: Tree) -> CanonicalForm:
    """Return a form that is equal for expressions that differ only in parentheses or the order of operands."""
    if isinstance(tree, int):
        return tree
    forward: list[CanonicalForm] = []
    inverse: list[CanonicalForm] = []
    family = "+-" if tree[1] in "+-" else "*/"
    _flatten(tree, family, forward, inverse)
    return family[0], tuple(sorted(forward, key=repr)), tuple(sorted(inverse, key=repr))


def _flatten(tree: Tree, family: str, forward: list[CanonicalForm], inverse: list[CanonicalForm]) -> None:
    if isinstance(tree, int) or tree[1] not in family:
        forward.append(canonical(tree))
        return
    left, sign, right = tree
    _flatten(left, family, forward, inverse)
    if sign == family[0]:
        _flatten(right, family, forward, inverse)
    else:
        _flatten(right, family, inverse, forward)


def chain_of_tree(tree: Tree, calculator: Calculator) -> EquationChain | None:
    """Return the equations of an expression, innermost first; None if one is not whole or not legal."""
    if isinstance(tree, int):
        return EquationChain((), Operand(tree, tree))
    left, right = chain_of_tree(tree[0], calculator), chain_of_tree(tree[2], calculator)
    if left is None or right is None:
        return None
    value = calculator.apply(tree[1], left.value, right.value)
    if value is None:
        return None
    step = Equation(left.value, tree[1], right.value, value)
    return EquationChain((*left.steps, *right.steps, step), Operand(value, tree))


def leaves(tree: Tree) -> list[int]:
    """Return the numbers of an expression from left to right."""
    return [tree] if isinstance(tree, int) else leaves(tree[0]) + leaves(tree[2])


def spaced_parts(tree: Tree, *, outer: bool = True) -> list[str]:
    """Return the words of an expression with every inner operation in parentheses, e.g. `( 3 + 4 ) * 2`."""
    if isinstance(tree, int):
        return [str(tree)]
    inside = [*spaced_parts(tree[0], outer=False), tree[1], *spaced_parts(tree[2], outer=False)]
    return inside if outer else ["(", *inside, ")"]


def reductions(tree: Tree, calculator: Calculator) -> list[Tree]:
    """Return the expression after 0, 1, 2, … operations were evaluated from the left, down to its value."""
    stages = [tree]
    while not isinstance(stages[-1], int):
        stages.append(_reduced(stages[-1], calculator))
    return stages


def _reduced(tree: Tree, calculator: Calculator) -> Tree:
    if isinstance(tree, int):
        return tree
    left, sign, right = tree
    if not isinstance(left, int):
        return (_reduced(left, calculator), sign, right)
    if not isinstance(right, int):
        return (left, sign, _reduced(right, calculator))
    value = calculator.apply(sign, left, right)
    assert value is not None  # chains are legal
    return value


def contains(tree: Tree, part: Tree) -> bool:
    """Return whether one expression is part of another."""
    return tree == part or (not isinstance(tree, int) and (contains(tree[0], part) or contains(tree[2], part)))


_STRENGTH: Final = {"+": 1, "-": 1, "*": 2, "/": 2}


def lean_text(tree: Tree, *, spaces: bool = True) -> str:
    """Return the expression with only the necessary parentheses, e.g. `(3 + 4) * 2`; negative numbers get some."""
    if isinstance(tree, int):
        return str(tree) if tree >= 0 else f"({tree})"
    left, sign, right = tree
    before, after = lean_text(left, spaces=spaces), lean_text(right, spaces=spaces)
    if not isinstance(left, int) and _STRENGTH[left[1]] < _STRENGTH[sign]:
        before = f"({before})"
    if not isinstance(right, int) and (
        _STRENGTH[right[1]] < _STRENGTH[sign] or (_STRENGTH[right[1]] == _STRENGTH[sign] and sign in "-/")
    ):
        after = f"({after})"
    return f"{before} {sign} {after}" if spaces else f"{before}{sign}{after}"
