"""Search without knowledge of the answer: random attempts, recorded as events that a writer puts into words.

An *attempt* combines all the numbers, either directly or under a *plan*. A plan starts from the target: it sets one
number aside, computes what the others must come to, and tries to make that.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from pipelines.teachers.symbolic.arithmetic import (
    Calculator,
    Equation,
    EquationChain,
    Operand,
    Tree,
    canonical,
    extend,
    leaves,
)

Strategy = Literal["direct", "planned", "mixed"]

_REDRAWS: Final = 30
"""Draws in search of a new attempt; small problems run out of them."""
_PLANNED_SHARE: Final = 0.4
_SANE_FACTOR: Final = 3
_MAX_TRIES_PER_PLAN: Final = 3


@dataclass(frozen=True, slots=True)
class SubgoalPlan:
    """The value the other numbers must have if one is used last: `needed operation held = target`, or reversed."""

    target: int
    held: int
    operation: str
    needed: int
    reversed: bool
    """Whether the last equation is `held operation needed = target`."""
    rest: tuple[int, ...]

    @property
    def last(self) -> Equation:
        """The last equation, if the others come to `needed`."""
        left, right = (self.held, self.needed) if self.reversed else (self.needed, self.held)
        return Equation(left, self.operation, right, self.target)

    def tree(self, rest: Tree) -> Tree:
        """Return the whole expression, given that of the others."""
        return (self.held, self.operation, rest) if self.reversed else (rest, self.operation, self.held)


@dataclass(frozen=True, slots=True)
class SearchAttempt:
    """One attempt. Under a plan it may stop when the others do not come to `needed`; then `complete` is False."""

    chain: EquationChain
    hit: bool
    complete: bool = True
    plan: "SubgoalPlan | None" = None


SearchEvent = SubgoalPlan | SearchAttempt


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """The events of a search in order. A successful attempt is the last event."""

    numbers: tuple[int, ...]
    target: int
    events: tuple[SearchEvent, ...]

    @property
    def attempts(self) -> list[SearchAttempt]:
        """The attempts, without the plans."""
        return [event for event in self.events if isinstance(event, SearchAttempt)]

    @property
    def failed(self) -> int:
        """Number of failed attempts."""
        return sum(not attempt.hit for attempt in self.attempts)

    @property
    def planned(self) -> bool:
        """Whether there was a plan."""
        return any(isinstance(event, SubgoalPlan) for event in self.events)

    @property
    def answer(self) -> Tree | None:
        """The expression of the successful attempt, or None."""
        attempts = self.attempts
        return attempts[-1].chain.item.tree if attempts and attempts[-1].hit else None


class Searcher:
    """One search for one problem.

    Args:
        numbers: of the problem.
        target: of the problem.
        calculator: the legal operations.
        rng: source of all random choices.
        strategy: whether attempts are direct, planned or both.
        most_failed: most failed attempts.
        complete: whether an attempt continues to a final result after its plan failed, so that it can be compared
            with the target.
        tame: whether to mostly avoid negative results and results far above numbers and target, as people do.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        target: int,
        calculator: Calculator,
        rng: random.Random,
        *,
        strategy: Strategy,
        most_failed: int,
        complete: bool,
        tame: bool = False,
    ) -> None:
        self.numbers = tuple(numbers)
        self.target = target
        self.calculator = calculator
        self.rng = rng
        self.strategy = strategy
        self.most_failed = most_failed
        self.complete = complete
        self._sane = _SANE_FACTOR * max(*numbers, target) if tame else None
        self._tried: set[object] = set()
        self._failed = 0
        self._events: list[SearchEvent] = []

    def run(self) -> SearchRecord:
        """Search until an attempt succeeds or more than `most_failed` failed; the last failed one is then left out.

        It always terminates: each round adds a failed attempt or is the last.
        """
        while self._failed <= self.most_failed:
            found = self._planned_round() if self._plans_now() else self._direct_round()
            if found is not False:
                break
        return SearchRecord(self.numbers, self.target, tuple(self._events))

    def _plans_now(self) -> bool:
        """Return whether to plan now: a mixed search starts with a plan and makes further ones at random."""
        if self.strategy != "mixed":
            return self.strategy == "planned"
        planned = any(isinstance(event, SubgoalPlan) for event in self._events)
        return not planned or self.rng.random() < _PLANNED_SHARE

    def _direct_round(self) -> bool | None:
        """Make one attempt; return True if it succeeds, None if nothing new or no attempt is left."""
        chain = self._fresh(lambda: self._draw(self.numbers))
        if chain is None:
            return None
        return self._add(SearchAttempt(chain, hit=chain.value == self.target))

    def _draw(self, numbers: Sequence[int]) -> EquationChain | None:
        return self.calculator.random_chain(numbers, self.rng, sane=self._sane)

    def _add(self, attempt: SearchAttempt) -> bool | None:
        if not attempt.hit:
            if self._failed == self.most_failed:
                return None
            self._failed += 1
        self._events.append(attempt)
        return attempt.hit

    def _fresh(self, draw: Callable[[], EquationChain | None], plan: SubgoalPlan | None = None) -> EquationChain | None:
        for _ in range(_REDRAWS):
            chain = draw()
            if chain is None:
                continue
            # Completed attempts with equal expressions are equal; incomplete ones are equal only under the same plan.
            tree = chain.item.tree
            mark = (
                (plan, canonical(tree)) if plan and not self.complete else canonical(plan.tree(tree) if plan else tree)
            )
            if mark not in self._tried:
                self._tried.add(mark)
                return chain
        return None

    def _planned_round(self) -> bool | None:
        plan = self._draw_plan()
        if plan is None:
            return self._direct_round() if self.strategy == "mixed" else None
        tries: list[SearchAttempt] = []
        for _ in range(self.rng.randint(1, _MAX_TRIES_PER_PLAN)):
            chain = self._fresh(lambda: self._draw(plan.rest), plan)
            attempt = None if chain is None else self._under(plan, chain)
            if attempt is None:
                break
            tries.append(attempt)
            if attempt.hit:
                break
        if not tries or (self._failed == self.most_failed and not tries[0].hit):
            return None if self._failed == self.most_failed else False
        self._events.append(plan)
        for attempt in tries:
            outcome = self._add(attempt)
            if outcome is not False:
                return outcome
        return False

    def _under(self, plan: SubgoalPlan, chain: EquationChain) -> SearchAttempt | None:
        """Return the attempt from a combination of the others; None if it cannot be completed."""
        if chain.value == plan.needed:
            return SearchAttempt(extend(chain, plan.last, plan.tree(chain.item.tree)), hit=True, plan=plan)
        if not self.complete:
            return SearchAttempt(chain, hit=False, complete=False, plan=plan)
        left, right = (plan.held, chain.value) if plan.reversed else (chain.value, plan.held)
        value = self.calculator.apply(plan.operation, left, right)
        if value is None:
            return None
        whole = extend(chain, Equation(left, plan.operation, right, value), plan.tree(chain.item.tree))
        return SearchAttempt(whole, hit=value == self.target, plan=plan)

    def _draw_plan(self) -> SubgoalPlan | None:
        fresh = [
            plan for plan in enumerate_plans(self.numbers, self.target, self.calculator) if plan not in self._tried
        ]
        if not fresh:
            return None
        plan = self.rng.choice(fresh)
        self._tried.add(plan)
        return plan


def enumerate_plans(numbers: Sequence[int], target: int, calculator: Calculator) -> list[SubgoalPlan]:
    """List the plans with a legal last equation and a needed value that the others may reach by size."""
    found: dict[SubgoalPlan, None] = {}
    for place, held in enumerate(numbers):
        rest = (*numbers[:place], *numbers[place + 1 :])
        most = _upper_bound(rest)
        for needed, operation, is_reversed in _inverse_operations(held, target):
            left, right = (held, needed) if is_reversed else (needed, held)
            sane = 0 <= needed <= most and calculator.arithmetic.admits((needed, 1))
            if sane and calculator.apply(operation, left, right) == target:
                found[SubgoalPlan(target, held, operation, needed, is_reversed, tuple(sorted(rest)))] = None
    return list(found)


def _inverse_operations(held: int, target: int) -> list[tuple[int, str, bool]]:
    """Return the (needed, operation, reversed) with which the last equation gives the target."""
    needs = [(target - held, "+", False), (target + held, "-", False), (held - target, "-", True)]
    if held and target % held == 0:
        needs.append((target // held, "*", False))
    needs.append((target * held, "/", False))
    if target and held % target == 0:
        needs.append((held // target, "/", True))
    return needs


def last_steps(right: int, result: int, calculator: Calculator) -> list[Equation]:
    """List the legal equations with this right operand and result and a non-negative left operand."""
    return [
        Equation(left, sign, right, result)
        for left, sign, is_reversed in _inverse_operations(right, result)
        if not is_reversed and left >= 0 and calculator.apply(sign, left, right) == result
    ]


def _upper_bound(numbers: Sequence[int]) -> int:
    """Return an upper bound of the values these numbers can come to."""
    product = 1
    for number in numbers:
        product *= max(number, 2) if len(numbers) > 1 else number
    return max(product, sum(numbers))


def with_illegal_line(search: SearchRecord, calculator: Calculator, rng: random.Random) -> SearchRecord | None:
    """Replace the last line of a search by one that is true and reaches the target with a number that was not given.

    Return None if the search failed, or if no such line was found within a bounded number of draws.
    """
    if search.answer is None:
        return None
    last = search.attempts[-1]
    chain = None
    if last.plan is not None:
        part = illegal_chain(last.plan.rest, last.plan.needed, search.numbers, calculator, rng)
        chain = part and extend(part, last.plan.last, last.plan.tree(part.item.tree))
    chain = chain or illegal_chain(search.numbers, search.target, search.numbers, calculator, rng)
    if chain is None:
        return None
    return replace(search, events=(*search.events[:-1], replace(last, chain=chain)))


def illegal_chain(
    numbers: Sequence[int], target: int, given: Sequence[int], calculator: Calculator, rng: random.Random
) -> EquationChain | None:
    """Find a true line to `target` with as many numbers as `numbers`, one of them not `given`; None if none was found.

    The number that is not given is in the last equation. It is never the target itself, which the prompt shows:
    models would learn that trick.
    """
    if len(numbers) == 1:
        return None if target in given or target < 1 else EquationChain((), Operand(target, target))
    largest = max(*given, target)
    for _ in range(_REDRAWS):
        left_out = rng.randrange(len(numbers))
        chain = calculator.random_chain([n for place, n in enumerate(numbers) if place != left_out], rng)
        if chain is None:
            continue
        options = [
            (step, tree)
            for number, sign, is_reversed in _inverse_operations(chain.value, target)
            if 1 <= number <= largest and number not in given and number != target
            for step, tree in [_last_line(chain, number, sign, is_reversed, target)]
            if calculator.apply(sign, step.left, step.right) == target
        ]
        if options:
            step, tree = rng.choice(options)
            illegal = extend(chain, step, tree)
            assert sorted(leaves(tree)) != sorted(given)
            return illegal
    return None


def _last_line(chain: EquationChain, number: int, sign: str, is_reversed: bool, target: int) -> tuple[Equation, Tree]:
    """Return `number sign value = target`, with operands swapped if `is_reversed`, and its expression."""
    if is_reversed:
        return Equation(chain.value, sign, number, target), (chain.item.tree, sign, number)
    return Equation(number, sign, chain.value, target), (number, sign, chain.item.tree)
