"""Linear traces: straight to an answer, without a search. The one place where the teacher knows a solution."""

import random
from collections.abc import Sequence
from itertools import islice
from typing import Final

from pipelines.tasks.countdown.expression import parse
from pipelines.tasks.countdown.solver import solutions
from pipelines.teachers.symbolic.arithmetic import Calculator, EquationChain, Tree, chain_of_tree
from pipelines.teachers.symbolic.search import SearchAttempt, SearchRecord

_MOST_SOLUTIONS: Final = 64
_REDRAWS: Final = 30


def parse_tree(expression: str) -> Tree:
    """The expression as a tree.

    Raises:
        ExpressionError: it is none.
        ValueError: it has a signed operand, which trees do not.
    """
    stack: list[Tree] = []
    for token in parse(expression).postfix:
        if isinstance(token, int):
            stack.append(token)
        elif token == "~":
            raise ValueError(f"the expression {expression!r} has a signed operand")
        else:
            right, left = stack.pop(), stack.pop()
            stack.append((left, token, right))
    return stack[0]


class LinearPaths:
    """Writes linear searches: one attempt, which hits or is wrong. Remembers the solutions of each problem."""

    def __init__(self, calculator: Calculator) -> None:
        self.calculator = calculator
        self._solutions: dict[tuple[tuple[int, ...], int], list[EquationChain]] = {}

    def solutions(self, numbers: Sequence[int], target: int) -> list[EquationChain]:
        """Up to 64 ways to the target in whole numbers."""
        key = tuple(sorted(numbers)), target
        known = self._solutions.get(key)
        if known is None:
            found = islice(solutions(key[0], target, self.calculator.arithmetic), _MOST_SOLUTIONS)
            chains = (chain_of_tree(parse_tree(text), self.calculator) for text in found)
            known = self._solutions[key] = [chain for chain in chains if chain is not None]
        return known

    def right(self, numbers: Sequence[int], target: int, rng: random.Random) -> SearchRecord | None:
        """A path to the target; None where there is none in whole numbers."""
        known = self.solutions(numbers, target)
        return _single(numbers, target, _shuffled(rng.choice(known), self.calculator, rng)) if known else None

    def wrong(self, numbers: Sequence[int], target: int, rng: random.Random) -> SearchRecord | None:
        """A legal path to something else; None where none was found."""
        for _ in range(_REDRAWS):
            chain = self.calculator.random_chain(numbers, rng)
            if chain is not None and chain.value != target:
                return _single(numbers, target, chain)
        return None


def _single(numbers: Sequence[int], target: int, chain: EquationChain) -> SearchRecord:
    # `hit` means "ends here with this answer": a wrong linear trace answers too.
    return SearchRecord(tuple(numbers), target, (SearchAttempt(chain, hit=True),))


def _shuffled(chain: EquationChain, calculator: Calculator, rng: random.Random) -> EquationChain:
    """The same way with the sides of sums and products swapped at random, as a search would draw them."""

    def swap(tree: Tree) -> Tree:
        if isinstance(tree, int):
            return tree
        left, sign, right = swap(tree[0]), tree[1], swap(tree[2])
        return (right, sign, left) if sign in "+*" and rng.random() < 0.5 else (left, sign, right)

    return chain_of_tree(swap(chain.item.tree), calculator) or chain
