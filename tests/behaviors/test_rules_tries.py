"""Facts about attempts: where one ends, what it used, what was said of it."""

import random

import pytest

from pipelines.behaviors.judges.rules.judge import judge_completion
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from tests.teachers.conftest import MINI, TRAIN

PLAIN = ("only_backtracking", "backtracking_verification", "all_strategies", "backtracking_subgoal")


@pytest.mark.parametrize("condition", PLAIN)
def test_the_teachers_attempts_are_found_legal_and_true(condition: str) -> None:
    rng = random.Random(7)
    solved = counted = legal = reached = total = 0
    teacher = SymbolicTeacher(MINI, SymbolicWritingConfig(style="plain"))
    for problem in TRAIN * 5:
        trace = teacher.write(problem, condition, rng)
        if not isinstance(trace, WrittenTrace):
            continue
        attempts = judge_completion(trace.completion, problem.numbers, problem.target).attempts
        solved += 1
        counted += len(attempts) == trace.meta["failed_attempts"] + 1
        legal += sum(attempt.legal for attempt in attempts)
        reached += attempts[-1].hit
        total += len(attempts)
        assert not any(attempt.wrong for attempt in attempts)
        assert all(attempt.said in (None, attempt.reached) for attempt in attempts)
    assert total > 1.5 * solved
    assert legal == total
    assert counted >= 0.95 * solved
    assert reached >= 0.95 * solved


def test_a_comma_goes_on_with_an_attempt_whose_result_is_also_given() -> None:
    (one,) = judge_completion("6 - 4 = 2 , 2 + 2 = 4 is not the goal .", (2, 4, 6), 22).attempts
    assert (one.legal, one.complete, one.said) == (True, True, False)


def test_a_plan_is_no_attempt_and_an_attempt_under_it_need_not_use_all() -> None:
    text = "Working backwards , 22 = 11 * 2 . I need 11 from 4 , 6 . 6 + 4 = 10 . Let's try something else . 4 * 6 = 24"
    first, second = judge_completion(text, (2, 4, 6), 22).attempts
    assert (first.legal, first.complete, first.reached, first.said) == (True, False, False, None)
    assert text[first.start : first.end] == "6 + 4 = 10"
    assert text[second.start : second.end] == "4 * 6 = 24"


def test_own_results_may_be_used_once_and_numbers_as_often_as_given() -> None:
    def legal(text: str) -> list[tuple[bool, bool]]:
        return [(one.legal, one.complete) for one in judge_completion(text, (3, 3, 4), 24).attempts]

    assert legal("3 + 3 = 6 , 6 * 4 = 24 is the goal .") == [(True, True)]
    assert legal("3 + 3 = 6 , 6 * 6 = 36 is not the goal .") == [(False, False)]
    assert legal("3 * 9 = 27 is not the goal .") == [(False, False)]


def test_no_computation_no_attempt() -> None:
    assert judge_completion("is not the goal . Let's try something else .", (3, 4), 7).attempts == ()
