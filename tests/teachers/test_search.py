"""The search is honest: it cannot know the answer, uses each number once, and ends."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tasks.countdown.expression import evaluate
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.teachers.symbolic.arithmetic import (
    Calculator,
    EquationChain,
    Tree,
    canonical,
    chain_of_tree,
    lean_text,
    leaves,
    reductions,
    spaced_parts,
)
from pipelines.teachers.symbolic.linear import LinearPaths, parse_tree
from pipelines.teachers.symbolic.search import (
    Searcher,
    SearchRecord,
    Strategy,
    SubgoalPlan,
    enumerate_plans,
    illegal_chain,
    with_illegal_line,
)
from tests.teachers.conftest import MINI, TRAIN

CALCULATOR = Calculator(MINI.arithmetic, negative=False)
ANY = Calculator(Arithmetic())

strategies = st.sampled_from(["direct", "planned", "mixed"])
seeds = st.integers(0, 2**32)


def search(
    numbers: tuple[int, ...], target: int, seed: int, strategy: Strategy, *, most: int = 10, complete: bool = True
) -> SearchRecord:
    rng = random.Random(seed)
    return Searcher(numbers, target, CALCULATOR, rng, strategy=strategy, most_failed=most, complete=complete).run()


@given(problem=st.sampled_from(TRAIN), seed=seeds, strategy=strategies, most=st.integers(0, 12), complete=st.booleans())
@settings(max_examples=200, deadline=None)
def test_attempts_use_each_number_once_and_only_the_last_hits(
    problem: Problem, seed: int, strategy: Strategy, most: int, complete: bool
) -> None:
    found = search(problem.numbers, problem.target, seed, strategy, most=most, complete=complete)
    assert found.failed <= most
    for attempt in found.attempts:
        assert attempt.hit == (attempt is found.attempts[-1] and found.answer is not None)
        if attempt.complete:
            assert sorted(leaves(attempt.chain.item.tree)) == sorted(problem.numbers)
            assert attempt.hit == (attempt.chain.value == problem.target)
        else:
            assert attempt.plan is not None
            assert tuple(sorted(leaves(attempt.chain.item.tree))) == attempt.plan.rest
            assert attempt.chain.value != attempt.plan.needed
        for step in attempt.chain.steps:
            assert CALCULATOR.apply(step.operation, step.left, step.right) == step.result


@given(problem=st.sampled_from(TRAIN), seed=seeds)
@settings(max_examples=100, deadline=None)
def test_a_direct_search_does_not_know_the_target(problem: Problem, seed: int) -> None:
    """Up to its end, a search for another target makes the very same attempts."""
    one = search(problem.numbers, problem.target, seed, "direct").attempts
    other = search(problem.numbers, 10_000, seed, "direct", most=30).attempts
    shared = min(len(one), len(other))
    assert shared > 0
    assert [attempt.chain for attempt in one[:shared]] == [attempt.chain for attempt in other[:shared]]


@given(problem=st.sampled_from(TRAIN), seed=seeds, complete=st.booleans(), strategy=strategies)
@settings(max_examples=100, deadline=None)
def test_no_attempt_is_made_twice(problem: Problem, seed: int, complete: bool, strategy: Strategy) -> None:
    found = search(problem.numbers, problem.target, seed, strategy, complete=complete)
    made = [(attempt.plan if not attempt.complete else None, canonical(attempt.chain.item.tree))
            for attempt in found.attempts if not attempt.hit]  # fmt: skip
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("strategy", ["direct", "planned", "mixed"])
@pytest.mark.parametrize("complete", [True, False])
def test_a_search_that_cannot_succeed_ends(strategy: Strategy, complete: bool) -> None:
    for numbers, target in (((2, 2), 50), ((1, 1, 1), 49), ((9, 9), 0)):
        found = search(numbers, target, 1, strategy, most=10_000, complete=complete)
        assert found.answer is None or target == 0
    assert search((1, 1, 1), 49, 1, strategy, most=0).events == ()


def test_plans_work_back_from_the_target() -> None:
    found = enumerate_plans((3, 7, 5), 16, CALCULATOR)
    assert found
    assert len(set(found)) == len(found)
    for plan in found:
        last = plan.last
        assert CALCULATOR.apply(last.operation, last.left, last.right) == 16
        assert sorted((*plan.rest, plan.held)) == [3, 5, 7]
    needs = {(plan.held, plan.operation, plan.needed) for plan in found}
    assert {(5, "-", 21), (7, "+", 9), (3, "+", 13)} <= needs
    assert (7, "-", 23) not in needs  # 3 and 5 come to 15 at most


@given(problem=st.sampled_from(TRAIN), seed=seeds, strategy=strategies)
@settings(max_examples=100, deadline=None)
def test_an_illegal_line_is_true_and_uses_a_number_not_given(problem: Problem, seed: int, strategy: Strategy) -> None:
    found = search(problem.numbers, problem.target, seed, strategy)
    wrong = with_illegal_line(found, CALCULATOR, random.Random(seed))
    if found.answer is None:
        assert wrong is None
        return
    if wrong is None:
        return
    assert wrong.events[:-1] == found.events[:-1]
    assert wrong.answer is not None
    used = leaves(wrong.answer)
    assert len(used) == len(problem.numbers)
    assert evaluate(lean_text(wrong.answer)) == problem.target
    strange = [number for number in used if number not in problem.numbers]
    assert strange
    assert problem.target not in strange
    last = wrong.events[-1]
    assert not isinstance(last, SubgoalPlan)
    assert chain_of_tree(last.chain.item.tree, CALCULATOR) == last.chain


def test_an_illegal_line_that_does_not_exist_is_given_up() -> None:
    only_one = Calculator(Arithmetic(operations="-", minimum=0, maximum=1, integers_only=True))
    assert illegal_chain((1, 1), 40, (1, 1), only_one, random.Random(0)) is None


def trees(depth: int = 3) -> st.SearchStrategy[Tree]:
    leaf: st.SearchStrategy[Tree] = st.integers(0, 20)
    return st.recursive(leaf, lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner), max_leaves=2**depth)


@given(tree=trees())
@settings(max_examples=200, deadline=None)
def test_an_expression_is_worth_its_chain_however_it_is_written(tree: Tree) -> None:
    chain = chain_of_tree(tree, ANY)
    if chain is None:
        return
    texts = (lean_text(tree), lean_text(tree, spaces=False), " ".join(spaced_parts(tree)))
    assert {evaluate(text) for text in texts} == {chain.value}
    if min([0, *(step.result for step in chain.steps)]) >= 0:  # trees read back have no signs of their own
        for text in texts[:2]:
            read_again = chain_of_tree(parse_tree(text), ANY)
            assert read_again is None or read_again.value == chain.value
    stages = reductions(tree, ANY)
    assert stages[-1] == chain.value
    assert len(stages) == len(chain.steps) + 1
    assert {evaluate(lean_text(stage)) for stage in stages} == {chain.value}


def test_canonical_forms_ignore_order_and_parentheses_but_nothing_else() -> None:
    same = ["3 + (5 + 7)", "(3 + 5) + 7", "7 + (3 + 5)"]
    assert len({canonical(parse_tree(text)) for text in same}) == 1
    assert canonical(parse_tree("5 - (3 - 2)")) == canonical(parse_tree("2 + 5 - 3"))
    assert canonical(parse_tree("6 / (3 / 2)")) == canonical(parse_tree("2 * 6 / 3"))
    different = ["3 + 5 * 7", "(3 + 5) * 7", "3 * 5 + 7", "3 - 5 + 7", "5 - 3 + 7", "3 * 5 * 7", "3 * 5 / 7"]
    assert len({canonical(parse_tree(text)) for text in different}) == len(different)


def test_linear_paths_hit_or_miss_as_asked() -> None:
    linear = LinearPaths(CALCULATOR)
    for seed in range(50):
        problem = TRAIN[seed % len(TRAIN)]
        right = linear.right(problem.numbers, problem.target, random.Random(seed))
        wrong = linear.wrong(problem.numbers, problem.target, random.Random(seed))
        assert right is not None
        assert wrong is not None
        assert right.attempts[0].chain.value == problem.target
        assert wrong.attempts[0].chain.value != problem.target
        for found in (right, wrong):
            assert sorted(leaves(found.attempts[0].chain.item.tree)) == sorted(problem.numbers)
    assert linear.right((1, 1, 1), 49, random.Random(0)) is None


def test_fractions_are_never_written() -> None:
    chains = [ANY.random_chain((7, 2, 5), random.Random(seed)) for seed in range(200)]
    found = [chain for chain in chains if isinstance(chain, EquationChain)]
    assert len(found) > 100
    divisions = [step for chain in found for step in chain.steps if step.operation == "/"]
    assert divisions
    assert all(step.left == step.right * step.result for step in divisions)
