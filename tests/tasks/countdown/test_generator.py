from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.problems import Problem, ProblemSpace, draw, generate, make_problem
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.solver import reachable, solve

MINIATURE = ProblemSpace(
    sizes=(3,),
    number_range=(1, 9),
    target_range=(10, 30),
    distinct=True,
    arithmetic=Arithmetic(operations="+-*", minimum=0, maximum=50, integers_only=True),
)


def check(problems: list[Problem], space: ProblemSpace) -> None:
    """Everything that is promised of a set of problems."""
    assert len({problem.key for problem in problems}) == len(problems)
    assert len({problem.id for problem in problems}) == len(problems)
    for problem in problems:
        assert len(problem.numbers) in space.sizes
        assert all(space.number_range[0] <= number <= space.number_range[1] for number in problem.numbers)
        assert space.target_range[0] <= problem.target <= space.target_range[1]
        assert not space.distinct or len(set(problem.numbers)) == len(problem.numbers)
        assert solve(problem.numbers, problem.target, space.arithmetic) is not None


@pytest.mark.parametrize("size", [2, 3, 4, 5, 6])
def test_every_size(size: int) -> None:
    space = ProblemSpace(sizes=(size,))
    check(generate(space, 30), space)


@given(
    st.sets(st.integers(2, 5), min_size=1, max_size=3),
    st.tuples(st.integers(0, 5), st.integers(6, 100)),
    st.tuples(st.integers(-20, 5), st.integers(6, 200)),
    st.booleans(),
    st.sampled_from(["+-*/", "+-*", "+-", "*/"]),
    st.booleans(),
    st.integers(0, 2**32),
)
@settings(max_examples=30, deadline=None)
def test_any_space(
    sizes: set[int],
    number_range: tuple[int, int],
    target_range: tuple[int, int],
    distinct: bool,
    operations: str,
    integers_only: bool,
    seed: int,
) -> None:
    if distinct and number_range[1] - number_range[0] < max(sizes):
        return
    space = ProblemSpace(
        sizes=tuple(sizes),
        number_range=number_range,
        target_range=target_range,
        distinct=distinct,
        arithmetic=Arithmetic(operations=operations, integers_only=integers_only),
    )
    problems = []
    for problem in draw(space, seed=seed):
        problems.append(problem)
        if len(problems) == 10:
            break
    check(problems, space)


def test_the_same_seed_gives_the_same_problems_and_another_seed_others() -> None:
    space = ProblemSpace()
    assert generate(space, 50, seed=3) == generate(space, 50, seed=3)
    assert {problem.key for problem in generate(space, 50, seed=3)}.isdisjoint(
        problem.key for problem in generate(space, 50, seed=4)
    )


@pytest.mark.parametrize("space", [ProblemSpace(), MINIATURE])
def test_fewer_problems_are_the_first_of_more(space: ProblemSpace) -> None:
    assert generate(space, 20, seed=1) == generate(space, 200, seed=1)[:20]


def test_a_fixed_draw() -> None:
    """The problems of a seed are part of what a key stands for: a change here changes what finished runs mean."""
    assert [problem.id for problem in generate(MINIATURE, 4)] == ["1-3-7_14", "2-6-7_20", "6-7-9_10", "2-4-7_22"]
    assert [problem.id for problem in generate(ProblemSpace(), 4)] == [
        "1-81-86-91_95",
        "71-76-78_69",
        "15-18-33_66",
        "2-23-45-45_25",
    ]


def test_sizes_are_drawn_evenly() -> None:
    counts = Counter(len(problem.numbers) for problem in generate(ProblemSpace(sizes=(2, 3, 4)), 600))
    assert all(150 < counts[size] < 250 for size in (2, 3, 4))


def test_a_size_that_is_used_up_leaves_the_rest_to_the_others() -> None:
    space = ProblemSpace(sizes=(2, 4), number_range=(1, 3), target_range=(1, 12))
    twos = sum(1 for low in (1, 2, 3) for high in range(low, 4) for value in reachable((low, high)) if 1 <= value <= 12)
    counts = Counter(len(problem.numbers) for problem in generate(space, 80))
    assert counts[2] == twos
    assert counts[4] == 80 - twos


def test_the_order_of_the_numbers_is_shuffled() -> None:
    problems = generate(ProblemSpace(), 100)
    assert any(problem.numbers != tuple(sorted(problem.numbers)) for problem in problems)


def test_the_miniature_has_483_problems_and_they_can_all_be_had() -> None:
    problems = generate(MINIATURE, 483)
    check(problems, MINIATURE)
    with pytest.raises(InvalidInput, match="there are only 483 solvable problems"):
        generate(MINIATURE, 484)


def test_excluded_problems_are_never_drawn_whatever_their_order() -> None:
    first = generate(MINIATURE, 400, seed=5)
    excluded = [make_problem(reversed(problem.numbers), problem.target) for problem in first]
    rest = generate(MINIATURE, 83, seed=6, exclude=excluded)
    assert {problem.key for problem in rest}.isdisjoint(problem.key for problem in first)
    with pytest.raises(InvalidInput, match="excluded problems do not count"):
        generate(MINIATURE, 84, seed=6, exclude=excluded)


def test_excluded_problems_are_never_sampled_either() -> None:
    space = ProblemSpace(sizes=(4,))
    first = generate(space, 300, seed=1)
    again = generate(space, 300, seed=1, exclude=first)
    check([*first, *again], space)


def test_an_impossible_range_is_named() -> None:
    with pytest.raises(InvalidInput) as caught:
        generate(ProblemSpace(sizes=(2,), number_range=(1, 9), target_range=(500, 600)), 10)
    assert caught.value.summary == "there is no solvable problem of this kind, 10 asked for"
    assert "2 numbers from 1 to 9, targets 500 to 600, operations + - * /" in caught.value.detail
    assert "Widen" in caught.value.remedy


def test_a_space_too_large_to_list_is_not_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.tasks.countdown.generator._TRIES", 2_000)
    with pytest.raises(InvalidInput) as caught:
        generate(ProblemSpace(sizes=(4,), target_range=(10**9, 10**9)), 1)
    assert caught.value.summary == "found 0 solvable problems, 1 asked for"
    assert "too large to list; 2,000 random expressions" in caught.value.detail


def test_what_sampling_misses_is_listed() -> None:
    """3,654 multisets and one target: random expressions stop finding new ones before the last."""
    space = ProblemSpace(
        sizes=(3,), number_range=(1, 27), target_range=(29, 29), arithmetic=Arithmetic(operations="+-")
    )
    assert space.listing_ms(3) > 500
    problems = list(draw(space))
    check(problems, space)
    expected = sum(
        29 in reachable((first, second, third), space.arithmetic)
        for first in range(1, 28)
        for second in range(first, 28)
        for third in range(second, 28)
    )
    assert len(problems) == expected


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"sizes": ()}, "at least 1"),
        ({"sizes": (1,)}, "greater than or equal to 2"),
        ({"sizes": (7,)}, "less than or equal to 6"),
        ({"sizes": (3, 3)}, "twice"),
        ({"number_range": (9, 1)}, "above the largest"),
        ({"number_range": (-1, 5)}, "not negative"),
        ({"target_range": (30, 10)}, "above the largest"),
        ({"sizes": (6,), "number_range": (1, 5), "distinct": True}, "no 6 distinct numbers from 1 to 5"),
        ({"arithmetic": {"maximum": 5}}, "all are above arithmetic.maximum = 5"),
        ({"arithmetic": {"minimum": 500}}, "all are below arithmetic.minimum = 500"),
        ({"arithmetic": {"operations": "^"}}, "operations are one or more of"),
        ({"sises": (3,)}, "Extra inputs"),
    ],
)
def test_a_space_that_cannot_be_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ProblemSpace.model_validate(fields)


@pytest.mark.parametrize("numbers", [(5,), (1, 2, 3, 4, 5, 6, 7), (3, -1)])
def test_a_problem_has_two_to_six_numbers_none_negative(numbers: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        make_problem(numbers, 10)


def test_identity_of_a_problem() -> None:
    problem = make_problem((25, 3, 7), 46)
    assert problem.id == "3-7-25_46"
    assert problem.numbers == (25, 3, 7)
    assert problem.key == make_problem((7, 25, 3), 46).key
    assert problem.key != make_problem((7, 25, 3), 47).key
    assert problem.key != make_problem((7, 25, 3, 3), 46).key
