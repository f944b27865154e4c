"""Linear traces: one line to an answer without a search. Only here does the teacher know a solution."""

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
    """Parse an expression into a tree.

    Raises:
        ExpressionError: not an expression.
        ValueError: a signed operand, which trees do not support.
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
    """Finds linear paths: searches of one attempt, right or wrong. Caches the solutions of each problem."""

    def __init__(self, calculator: Calculator) -> None:
        self.calculator = calculator
        self._solutions: dict[tuple[tuple[int, ...], int], list[EquationChain]] = {}

    def solutions(self, numbers: Sequence[int], target: int) -> list[EquationChain]:
        """Return up to 64 solutions in whole numbers."""
        key = tuple(sorted(numbers)), target
        known = self._solutions.get(key)
        if known is None:
            found = islice(solutions(key[0], target, self.calculator.arithmetic), _MOST_SOLUTIONS)
            chains = (chain_of_tree(parse_tree(text), self.calculator) for text in found)
            known = self._solutions[key] = [chain for chain in chains if chain is not None]
        return known

    def right(self, numbers: Sequence[int], target: int, rng: random.Random) -> SearchRecord | None:
        """Return a path to the target; None if none has whole numbers only."""
        known = self.solutions(numbers, target)
        return _single(numbers, target, _shuffled(rng.choice(known), self.calculator, rng)) if known else None

    def wrong(self, numbers: Sequence[int], target: int, rng: random.Random) -> SearchRecord | None:
        """Return a legal path to another value; None if none was found."""
        for _ in range(_REDRAWS):
            chain = self.calculator.random_chain(numbers, rng)
            if chain is not None and chain.value != target:
                return _single(numbers, target, chain)
        return None


def _single(numbers: Sequence[int], target: int, chain: EquationChain) -> SearchRecord:
    # `hit` means "ends here with this answer": a wrong linear trace answers too.
    return SearchRecord(tuple(numbers), target, (SearchAttempt(chain, hit=True),))


def _shuffled(chain: EquationChain, calculator: Calculator, rng: random.Random) -> EquationChain:
    """Swap the operands of sums and products at random, as in a search."""

    def swap(tree: Tree) -> Tree:
        if isinstance(tree, int):
            return tree
        left, sign, right = swap(tree[0]), tree[1], swap(tree[2])
        return (right, sign, left) if sign in "+*" and rng.random() < 0.5 else (left, sign, right)

    return chain_of_tree(swap(chain.item.tree), calculator) or chain
