"""The paper's claims on runs made for them: each verdict from its interval alone."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from cogtui.analysis.claims import Claim, decide_claims
from cogtui.analysis.outcomes import EvaluatedRun
from pipelines.behaviors.sets.registered import BEHAVIORS
from tests.analysis.lab import accuracies, groups, run


def claims(*runs: Sequence[EvaluatedRun]) -> dict[str, Claim]:
    return {claim.name: claim for claim in decide_claims(groups(*runs))}


LOW = accuracies("none", [(0.05, 0.18), (0.06, 0.17), (0.06, 0.19)])
HIGH = accuracies("backtracking_verification", [(0.50, 0.66), (0.55, 0.70), (0.52, 0.68)])


@pytest.mark.parametrize(
    ("primed", "verdict"),
    [
        (HIGH, "holds"),
        (accuracies("all_strategies", [(0.1, 0.05), (0.1, 0.06), (0.1, 0.05)]), "does not hold"),
        (accuracies("all_strategies", [(0.1, 0.1), (0.1, 0.5), (0.1, 0.2)]), "undecided"),  # too wide
        (HIGH[:1], "undecided"),  # one seed decides nothing, however large the difference
    ],
)
def test_a_claim_is_decided_by_the_interval_of_the_difference(primed: list[EvaluatedRun], verdict: str) -> None:
    found = claims(LOW, primed)["primed_above_unprimed"]
    assert found.verdict == verdict
    assert len(found.comparisons) == 1


def test_a_claim_holds_only_if_every_comparison_does() -> None:
    doubtful = accuracies("only_backtracking", [(0.1, 0.1), (0.1, 0.5), (0.1, 0.2)])
    worse = accuracies("all_strategies", [(0.1, 0.05), (0.1, 0.06), (0.1, 0.05)])
    assert claims(LOW, HIGH, doubtful)["primed_above_unprimed"].verdict == "undecided"
    both = claims(LOW, HIGH, doubtful, worse)["primed_above_unprimed"]
    assert both.verdict == "does not hold"
    assert [one.verdict for one in both.comparisons] == ["holds", "undecided", "does not hold"]


def test_gains_and_ends_are_told_apart() -> None:
    # Primed ends far above, but gains less.
    strong = accuracies("backtracking_verification", [(0.55, 0.58), (0.55, 0.59), (0.56, 0.58)])
    found = claims(LOW, strong)
    assert found["primed_above_unprimed"].verdict == "holds"
    assert found["primed_gains_as_much"].verdict == "does not hold"


def test_wrong_answers_are_no_primed_condition_and_catch_up_within_the_margin() -> None:
    right = accuracies("all_strategies", [(0.5, 0.66), (0.5, 0.68), (0.5, 0.67)])
    near = accuracies("no_positive_all_strategies", [(0.1, 0.64), (0.1, 0.66), (0.1, 0.65)])
    far = accuracies("no_positive_all_strategies", [(0.1, 0.44), (0.1, 0.46), (0.1, 0.45)])
    assert claims(LOW, right, near)["wrong_answers_catch_up"].verdict == "holds"
    found = claims(LOW, right, far)
    assert found["wrong_answers_catch_up"].verdict == "does not hold"
    assert [one.name for one in found["primed_above_unprimed"].comparisons] == ["all_strategies - none"]


def counted(condition: str, start: float, end: float) -> list[EvaluatedRun]:
    """Three runs with so many instances of every behaviour, a little different by seed."""
    return [
        run(
            condition,
            seed,
            {"accuracy": 0.5, **dict.fromkeys(BEHAVIORS, start)},
            {"accuracy": 0.5, **dict.fromkeys(BEHAVIORS, end + 0.001 * seed)},
        )
        for seed in (1, 2, 3)
    ]


def test_behaviours_stay_where_primed_and_stay_away_elsewhere() -> None:
    found = claims(counted("none", 0, 0), counted("backtracking_verification", 7, 5))
    assert found["behaviors_stay"].verdict == found["behaviors_absent"].verdict == "holds"
    primed = [one.name.rpartition(": ")[2] for one in found["behaviors_stay"].comparisons]
    assert primed == ["verification", "backtracking"]  # what the condition does not prime need not stay
    found = claims(counted("none", 0, 0.5), counted("backtracking_verification", 7, 2))
    assert found["behaviors_stay"].verdict == found["behaviors_absent"].verdict == "does not hold"


def test_runs_that_were_only_sampled_gain_nothing_and_decide_nothing() -> None:
    sampled = [
        replace(one, name="sample", points={0: one.points[0]}, last=None)
        for condition in ("none", "all_strategies")
        for one in accuracies(condition, [(0.1, 0.9), (0.2, 0.8)])
    ]
    both = groups(sampled)
    assert decide_claims(both) == []
    assert [group.estimate("accuracy", "gain") for group in both] == [None, None]
    found = both[0].estimate("accuracy", "end")
    assert found is not None
    assert found.mean == pytest.approx(0.15)


def test_without_its_conditions_a_claim_is_not_made() -> None:
    assert set(claims(LOW, HIGH)) == {"primed_above_unprimed", "primed_gains_as_much", "behaviors_absent"} | {
        "behaviors_stay"
    }
    assert claims(accuracies("my_own", [(0.1, 0.2)])) == {}
    assert claims([]) == {}
