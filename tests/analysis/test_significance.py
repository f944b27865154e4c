"""Bootstrap over problems, p-values, Holm's correction, pass@k: against closed forms and published values."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from cogtui.analysis.intervals import student_t_quantile
from cogtui.analysis.problem_outcomes import ProblemOutcome, describe_outcomes, measure_outcomes, read_outcomes
from cogtui.analysis.significance import adjust_holm, bootstrap_over_problems, seeds_needed, student_t_p


def test_the_bootstrap_interval_is_that_of_the_mean_over_problems_and_always_the_same() -> None:
    values = {f"p{place}": float(value) for place, value in enumerate(np.random.default_rng(1).normal(0.1, 0.4, 120))}
    found = bootstrap_over_problems(values)
    assert found is not None
    error = float(np.std(list(values.values()))) / math.sqrt(120)
    assert found.mean == pytest.approx(float(np.mean(list(values.values()))))
    assert found.half == pytest.approx(1.96 * error, rel=0.05)
    assert bootstrap_over_problems(dict(reversed(values.items()))) == found
    assert bootstrap_over_problems({"only": 1.0}) is None


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 29])
def test_p_is_five_per_cent_at_the_quantile(freedom: int) -> None:
    assert student_t_p(student_t_quantile(freedom), freedom) == pytest.approx(0.05, abs=2e-4)
    assert student_t_p(0.0, freedom) == pytest.approx(1.0)


def test_holm_adjusts_in_the_order_given() -> None:
    assert adjust_holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert adjust_holm([]) == []


def test_seeds_needed_are_those_of_the_paired_t_test() -> None:
    assert seeds_needed(0.1, 0.1) == 10  # Cohen 1988: effect 1, power .8
    assert seeds_needed(0.01, 0.2) is None
    assert seeds_needed(0.0, 0.2) is None


def test_pass_at_k_has_no_bias() -> None:
    half = ProblemOutcome(correct=2, completions=4, answers={"1", "2"})
    assert half.pass_at(1) == 0.5
    assert half.pass_at(2) == pytest.approx(1 - 1 / 6)
    assert describe_outcomes({"a": half, "b": ProblemOutcome(0, 4, {"3"})}) == pytest.approx(
        {"pass@1": 0.25, "pass@2": 5 / 12, "pass@3": 0.5, "pass@4": 0.5}
        | {"cover@0.25": 0.5, "cover@0.5": 0.5, "cover@0.75": 0.0, "distinct_answers": 1.5}
    )


def test_a_budget_of_tokens_pays_for_completions_by_their_mean_length() -> None:
    direct = ProblemOutcome(correct=2, completions=4, tokens=40)
    outcomes = {"a": direct}
    assert measure_outcomes(outcomes, "pass@5tokens") == pytest.approx(0.25)  # half a completion
    assert measure_outcomes(outcomes, "pass@20tokens") == measure_outcomes(outcomes, "pass@2")
    assert measure_outcomes(outcomes, "pass@15tokens") == pytest.approx((direct.pass_at(1) + direct.pass_at(2)) / 2)
    assert measure_outcomes(outcomes, "pass@1000tokens") == direct.pass_at(4) == 1.0
    for missing in ("pass@5", "pass@0", "pass@1.5", "cover@2tokens", "accuracy"):
        assert measure_outcomes(outcomes, missing) is None
    assert measure_outcomes({}, "pass@1") is None


def test_outcomes_skip_unscored_repeated_and_damaged_lines(tmp_path: Path) -> None:
    lines = [
        {"id": "1", "step": 0, "problem_id": "p", "correct": True, "answer": "1 + 2 "},
        {"id": "1", "step": 0, "problem_id": "p", "correct": True, "answer": "1 + 2"},
        {"id": "2", "step": 0, "problem_id": "p", "correct": None, "answer": None},
        {"id": "3", "step": 5, "problem_id": "p", "correct": True, "answer": "3"},
        {"id": "4", "step": 0, "problem_id": "p", "correct": False, "answer": "1 + 2"},
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + "{damaged\n" + '{"id": "5", "step": 0, "probl'
    (tmp_path / "rollouts-eval-001.jsonl").write_text(text)
    (tmp_path / "rollouts-train-001.jsonl").write_text(json.dumps(lines[0] | {"id": "9"}) + "\n")
    assert read_outcomes(tmp_path, "eval", frozenset((0, 10))) == {0: {"p": ProblemOutcome(1, 2, {"1 + 2"})}}
