import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.expression import parse
from pipelines.tasks.countdown.rules import ANY, Arithmetic, combine
from pipelines.tasks.countdown.solver import reachable, solutions, solve

MINIATURE = Arithmetic(operations="+-*", minimum=0, maximum=50, integers_only=True)


def every_value(values: tuple[Fraction, ...], arithmetic: Arithmetic = ANY) -> Iterator[Fraction]:
    """All results of joining values two at a time: the plain, slow way, with Python's own fractions."""
    if len(values) == 1:
        yield values[0]
    for first, second in permutations(range(len(values)), 2):
        rest = tuple(each for index, each in enumerate(values) if index not in (first, second))
        for result in _results(values[first], values[second], arithmetic):
            yield from every_value((*rest, result), arithmetic)


def _results(left: Fraction, right: Fraction, arithmetic: Arithmetic) -> Iterator[Fraction]:
    results = {"+": left + right, "-": left - right, "*": left * right, "/": left / right if right else None}
    for operation in arithmetic.operations:
        result = results[operation]
        if result is None or (arithmetic.integers_only and result.denominator != 1):
            continue
        if arithmetic.minimum is not None and result < arithmetic.minimum:
            continue
        if arithmetic.maximum is None or result <= arithmetic.maximum:
            yield result


def fractions(numbers: list[int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(each) for each in numbers)


def obeys(text: str, arithmetic: Arithmetic) -> bool:
    """Whether every operation of a solution is allowed and has an admitted result."""
    return all(
        step.operation in arithmetic.operations and arithmetic.admits(step.result.as_integer_ratio())
        for step in parse(text).steps()
    )


ARITHMETICS = st.builds(
    Arithmetic,
    operations=st.sampled_from(["+-*/", "+-*", "+-", "*/", "+", "-", "/"]),
    minimum=st.sampled_from([None, 0, 1, -5]),
    maximum=st.sampled_from([None, 10, 50]),
    integers_only=st.booleans(),
)


@pytest.mark.parametrize(
    ("numbers", "target"),
    [((1, 3, 4, 6), 24), ((3, 3, 8, 8), 24), ((1, 5, 5, 5), 24), ((2, 3, 7, 8, 50, 75), 812), ((5,), 5)],
)
def test_known_problems(numbers: tuple[int, ...], target: int) -> None:
    solution = solve(numbers, target)
    assert solution is not None
    assert parse(solution).value() == target
    assert sorted(parse(solution).numbers) == sorted(numbers)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(-10, 60), ARITHMETICS)
@example([0, 0, 5, 7], 0, ANY)
@example([0, 1, 2, 3], 0, Arithmetic(operations="*/"))
@example([4, 4, 9, 9], 0, Arithmetic(operations="-*", minimum=0))
@settings(max_examples=150)
def test_solves_exactly_what_can_be_solved(numbers: list[int], target: int, arithmetic: Arithmetic) -> None:
    solution = solve(numbers, target, arithmetic)
    if solution is None:
        assert all(value != target for value in every_value(fractions(numbers), arithmetic))
    else:
        assert parse(solution).value() == target
        assert sorted(parse(solution).numbers) == sorted(numbers)
        assert obeys(solution, arithmetic)


@given(st.lists(st.integers(1, 30), min_size=5, max_size=6), st.randoms(use_true_random=False), ARITHMETICS)
@settings(max_examples=40, deadline=None)
def test_solves_five_and_six_numbers_made_solvable(numbers: list[int], rng: object, arithmetic: Arithmetic) -> None:
    values = [(each, 1) for each in numbers]
    while len(values) > 1:
        left, right = values.pop(rng.randrange(len(values))), values.pop(rng.randrange(len(values)))  # type: ignore[attr-defined]
        results = [arithmetic.apply(operation, left, right) for operation in arithmetic.operations]
        legal = [result for result in results if result is not None]
        assume(legal)  # drawn among the legal ones: filtering what was drawn tripped Hypothesis' health check
        values.append(rng.choice(legal))  # type: ignore[attr-defined]
    target, denominator = values[0]
    assume(denominator == 1)
    solution = solve(numbers, target, arithmetic)
    assert solution is not None
    assert parse(solution).value() == target
    assert sorted(parse(solution).numbers) == sorted(numbers)
    assert obeys(solution, arithmetic)


@pytest.mark.parametrize("numbers", [[0, 3, 7], [0, 0, 0, 3, 7], [0, 5, 5, 8, 9, 11], [0, 2, 4, 6, 8, 10]])
@pytest.mark.parametrize("operations", ["*", "/", "*/", "+-*/"])
def test_a_zero_leaves_the_other_operand_free(numbers: list[int], operations: str) -> None:
    arithmetic = Arithmetic(operations=operations)
    solution = solve(numbers, 0, arithmetic)
    if operations == "/" and numbers.count(0) > 1:
        assert solution is None  # a zero would have to be a divisor
        return
    assert solution is not None
    assert parse(solution).value() == 0
    assert sorted(parse(solution).numbers) == sorted(numbers)


def test_two_equal_numbers_make_the_zero() -> None:
    for numbers in ([6, 6, 1, 2, 9], [13, 13, 1, 2, 100, 97]):
        solution = solve(numbers, 0, Arithmetic(operations="-*", minimum=-10))
        assert solution is not None
        assert parse(solution).value() == 0


def test_without_a_solution() -> None:
    assert solve([1, 1, 1, 1], 100) is None
    assert solve([2, 4, 6, 8, 10, 12], 10_007, Arithmetic(operations="+-*")) is None
    assert list(solutions([1, 1, 1, 1], 100)) == []


def test_arithmetic_decides_what_is_a_solution() -> None:
    assert solve([3, 3, 8, 8], 24) == "8 / (3 - 8 / 3)"
    assert solve([3, 3, 8, 8], 24, Arithmetic(integers_only=True)) is None
    assert solve([3, 3, 8, 8], 24, Arithmetic(operations="+-*")) is None
    assert solve([2, 5, 9], -2, Arithmetic(operations="+-")) is not None
    assert solve([2, 5, 9], -2, Arithmetic(operations="+-", minimum=0)) is None


def test_bounds_are_on_results_not_on_given_numbers() -> None:
    assert solve([90, 70], 20, Arithmetic(maximum=50)) == "90 - 70"
    assert solve([70], 70, Arithmetic(maximum=50)) == "70"


def test_a_solution_is_written_with_the_grouping_that_keeps_its_results_in_bounds() -> None:
    assert solve([9, 7, 4], 12, Arithmetic(operations="+-")) == "7 + 9 - 4"
    assert solve([9, 7, 4], 12, Arithmetic(operations="+-", maximum=12)) == "7 + (9 - 4)"


def test_a_subset_uses_as_few_numbers_as_possible() -> None:
    assert solve([25, 3, 7, 100], 100, subset=True) == "100"
    assert solve([25, 3, 7, 100], 10, subset=True) == "3 + 7"
    assert solve([25, 3, 7, 100], 10) is None
    assert solve([1, 1], 7, subset=True) is None


def test_all_solutions_of_a_small_problem() -> None:
    assert set(solutions([2, 3, 4], 24)) == {"2 * 3 * 4"}
    assert set(solutions([1, 2, 3], 6)) == {"1 + 2 + 3", "1 * 2 * 3", "2 * 3 / 1"}
    assert set(solutions([2, 2], 4)) == {"2 + 2", "2 * 2"}
    assert set(solutions([3, 4, 7], 7, subset=True)) == {"7", "3 + 4", "7 * (4 - 3)", "7 / (4 - 3)"}


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 6), (3, 68), (4, 1170), (5, 27142)])
def test_as_many_distinct_expressions_as_are_known(count: int, expected: int) -> None:
    """OEIS A140606: inequivalent expressions of n operands. These operands have no value in common by chance."""
    from pipelines.tasks.countdown.distinct import Enumeration

    operands = (101, 211, 307, 503, 1009)[:count]
    table = Enumeration(ANY).table(operands)
    assert sum(len(forms) for forms in table.values()) == expected


@given(st.lists(st.integers(1, 6), min_size=2, max_size=4), st.integers(0, 12), ARITHMETICS)
@example([1, 1, 1], 1, ANY)
@example([2, 2, 3, 3], 1, ANY)
@example([1, 1, 2, 4], 2, ANY)
@example([1, 2, 3, 4], 10, ANY)
@settings(max_examples=25, deadline=None)
def test_all_solutions_are_all_and_differ(numbers: list[int], target: int, arithmetic: Arithmetic) -> None:
    """Two expressions are the same exactly when they are the same function, equal numbers exchanged at will.

    That is decided otherwise than by the solver: by the values at a random point, modulo a large prime, for
    every way to hand the point's coordinates to equal numbers.
    """
    found = list(solutions(numbers, target, arithmetic))
    assert all(parse(text).value() == target and obeys(text, arithmetic) for text in found)
    assert all(sorted(parse(text).numbers) == sorted(numbers) for text in found)
    functions = [_as_function(text, numbers) for text in found]
    assert len(set(functions)) == len(found)
    assert set(functions) == _functions_of_all_solutions(numbers, target, arithmetic)
    assert bool(found) == (solve(numbers, target, arithmetic) is not None)


_PRIME = 2**61 - 1

_Function = tuple[int, ...]
"""Values at the points of `_points`, sorted: the same for all expressions that exchange equal numbers."""


def _points(numbers: list[int]) -> list[tuple[int, ...]]:
    """A random coordinate for each number, in every order that moves coordinates between equal numbers only."""
    rng = random.Random(0)
    coordinates = [rng.randrange(_PRIME) for _ in numbers]
    places = range(len(numbers))
    return [
        tuple(coordinates[place] for place in order)
        for order in permutations(places)
        if all(numbers[place] == numbers[order[place]] for place in places)
    ]


def _as_function(text: str, numbers: list[int]) -> _Function:
    stack: list[list[int]] = []
    unused = list(enumerate(numbers))
    points = _points(numbers)
    for token in parse(text).postfix:
        if isinstance(token, int):
            place = next(pair for pair in unused if pair[1] == token)
            unused.remove(place)
            stack.append([point[place[0]] for point in points])
        else:
            right, left = stack.pop(), stack.pop()
            stack.append([_modulo(token, *pair) for pair in zip(left, right, strict=True)])
    return tuple(sorted(stack[0]))


def _modulo(operation: str, left: int, right: int) -> int:
    if operation == "+":
        return (left + right) % _PRIME
    if operation == "-":
        return (left - right) % _PRIME
    return left * (right if operation == "*" else pow(right, -1, _PRIME)) % _PRIME


def _functions_of_all_solutions(numbers: list[int], target: int, arithmetic: Arithmetic) -> set[_Function]:
    points = _points(numbers)
    found = set()

    def value_at(tree: Any, point: tuple[int, ...]) -> int:
        if isinstance(tree, int):
            return point[tree]
        operation, left, right = tree
        return _modulo(operation, value_at(left, point), value_at(right, point))

    def join(parts: list[tuple[tuple[int, int], Any]]) -> None:
        if len(parts) == 1:
            if parts[0][0] == (target, 1):
                found.add(tuple(sorted(value_at(parts[0][1], point) for point in points)))
            return
        for first, second in permutations(range(len(parts)), 2):
            rest = [each for index, each in enumerate(parts) if index not in (first, second)]
            (left, left_tree), (right, right_tree) = parts[first], parts[second]
            for operation in arithmetic.operations:
                value = arithmetic.apply(operation, left, right)
                if value is not None:
                    join([*rest, (value, (operation, left_tree, right_tree))])

    join([((number, 1), index) for index, number in enumerate(numbers)])
    return found


def test_all_solutions_of_six_numbers() -> None:
    found = list(solutions([2, 3, 7, 8, 50, 75], 812))
    assert len(found) == len(set(found)) == 9
    assert all(parse(text).value() == 812 for text in found)


def test_solutions_come_one_by_one() -> None:
    assert isinstance(next(solutions([1, 2, 3, 4], 10)), str)


def test_the_miniature_has_483_problems() -> None:
    """Three distinct numbers 1 to 9, targets 10 to 30, + - *, results 0 to 50: the figure the miniature rests on."""
    problems = [
        (numbers, target)
        for numbers in combinations(range(1, 10), 3)
        for target in reachable(numbers, MINIATURE)
        if 10 <= target <= 30
    ]
    assert len(problems) == 483


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), ARITHMETICS)
@settings(max_examples=60, deadline=None)
def test_reachable_is_every_whole_value(numbers: list[int], arithmetic: Arithmetic) -> None:
    expected = {int(value) for value in every_value(fractions(numbers), arithmetic) if value.denominator == 1}
    assert reachable(numbers, arithmetic) == expected


def test_the_order_of_the_numbers_does_not_matter() -> None:
    assert {solve(numbers, 24) for numbers in permutations((1, 3, 4, 6))} == {"6 / (1 - 3 / 4)"}


@pytest.mark.parametrize("numbers", [[], [1] * 7, [3, -4]])
def test_refuses_what_it_cannot_solve(numbers: list[int]) -> None:
    with pytest.raises(InvalidInput):
        solve(numbers, 1)
    with pytest.raises(InvalidInput):
        list(solutions(numbers, 1))
    with pytest.raises(InvalidInput):
        reachable(numbers)


@given(st.fractions(max_denominator=50), st.fractions(max_denominator=50), st.sampled_from("+-*/"))
def test_combine_is_exact_and_in_lowest_terms(left: Fraction, right: Fraction, operation: str) -> None:
    result = combine(operation, left.as_integer_ratio(), right.as_integer_ratio())
    if operation == "/" and right == 0:
        assert result is None
        return
    expected = {"+": left + right, "-": left - right, "*": left * right}.get(operation)
    if expected is None:
        expected = left / right
    assert result == expected.as_integer_ratio()


@pytest.mark.parametrize("operations", ["", "+x", "++", "**", "+ -", "//"])
def test_unknown_operations_are_refused(operations: str) -> None:
    with pytest.raises(ValueError, match="operations are one or more"):
        Arithmetic(operations=operations)


def test_operations_have_one_spelling() -> None:
    assert Arithmetic(operations="*-+") == Arithmetic(operations="+-*")


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match="above maximum"):
        Arithmetic(minimum=5, maximum=4)


def test_apply_obeys_the_rules() -> None:
    rules = Arithmetic(operations="+-/", minimum=0, maximum=10, integers_only=True)
    assert rules.apply("+", (4, 1), (6, 1)) == (10, 1)
    assert rules.apply("+", (5, 1), (6, 1)) is None
    assert rules.apply("-", (5, 1), (6, 1)) is None
    assert rules.apply("*", (2, 1), (2, 1)) is None
    assert rules.apply("/", (6, 1), (3, 1)) == (2, 1)
    assert rules.apply("/", (6, 1), (4, 1)) is None
    assert rules.apply("/", (6, 1), (0, 1)) is None
