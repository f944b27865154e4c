"""The rules judge by kind of fault of version 4, each with a minimal input, and on forty traces in eight styles."""

from pathlib import Path

import pytest

from pipelines.behaviors.gold import read_gold
from tests.behaviors.test_rules import found, macro

STYLES = Path(__file__).parents[2] / "examples" / "gold" / "styles"
NUMBERS = (82, 90, 41, 13)


def judged(text: str) -> list[str]:
    return found(text, NUMBERS, 199)


@pytest.mark.parametrize(("half", "any_overlap", "half_overlap"), [("tuned", 0.98, 0.95), ("held-out", 0.93, 0.89)])
def test_eight_styles_are_judged(half: str, any_overlap: float, half_overlap: float) -> None:
    traces = read_gold(STYLES / f"{half}.jsonl")
    assert macro(traces, 0.0) >= any_overlap
    assert macro(traces, 0.5) >= half_overlap


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "82 + 90 = 172 (no), 41 + 90 + 199 - 13 = 317 (not 199)",
            ["V (no)", "B 41 + 90 + 199 - 13 = 317", "V (not 199)"],
        ),
        ("82 + 90 = 172. 199 - 82 = 117 (not 199)", ["B 199 - 82 = 117", "V (not 199)"]),
        ("82 + 90 = 172. 199 - 172 = 27", ["C 199 - 172 = 27"]),
    ],
)
def test_the_target_as_an_input_of_a_chain_is_an_attempt(text: str, expected: list[str]) -> None:
    assert judged(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("82 + 90 + something = 199", ["C 82 + 90 + something = 199"]),
        ("82 + 90 + x = 199, so x = 27. 41 - 13 = 28.", ["C 82 + 90 + x = 199, so x = 27"]),
        (r"\(82 + x = 199\)", ["C 82 + x = 199"]),
        ("199 − 90 → 109", ["C 199 − 90 → 109"]),
        ("7 + 8 + something = 199", []),  # neither 7 nor 8 is given or computed
    ],
)
def test_holes_and_arrows_in_arithmetic_from_the_target(text: str, expected: list[str]) -> None:
    assert judged(text) == expected


def test_a_plan_from_the_target_is_left_when_a_number_it_set_aside_is_used() -> None:
    left = judged("199 - 82 = 117. 90 + 13 = 103, no. 82 * 13 = 1066. Too high.")
    assert left == ["C 199 - 82 = 117", "V? no", "B 82 * 13 = 1066", "V Too high"]
    kept = judged("199 - 82 = 117. 90 + 13 = 103, no. 117 - 41 = 76.")
    assert kept == ["C 199 - 82 = 117", "V? no", "C 117 - 41 = 76"]


@pytest.mark.parametrize(
    "goal",
    [
        "We need to add enough to 172 to reach 199",
        "We need to get from 172 to 199",
        "Let me look whether it is near 199",
        "We need **27** from 41 and 13",
        "We have to build \\(27\\) from 41 and 13",
        "so `27` has to come from 41 and 13",
        "It remains to find 27 from 41 and 13",
        "it suffices to represent 27 by means of 41 and 13",
        "I need 41 and 13 to cancel out",
        "27 is still needed",
    ],
)
def test_wordings_of_goals(goal: str) -> None:
    assert judged(f"82 + 90 = 172. {goal}.") == [f"S {goal}"]


@pytest.mark.parametrize("remark", ["The rest is 41 and 13", "I need 41 and 13 too", "That leaves 41 and 13"])
def test_remarks_on_numbers_left_are_no_goals(remark: str) -> None:
    assert judged(f"82 + 90 = 172. {remark}.") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "82 + 90 + 41 = 213. Too high. A correct path might be 213 - 13 = 200.",
            ["V Too high", "B A correct path might be 213 - 13 = 200"],
        ),
        ("82 + 41 = 123. Pair them differently. 90 + 13 = 103.", ["B Pair them differently"]),
        ("Option A: 82 + 90 = 172\nOption B: begin with 90\n90 + 41 = 131", ["B Option B: begin with 90"]),
        ("Case 1. 82 + 90 = 172.\nCase 2. 90 + 41 = 131.", ["B Case 2. 90 + 41 = 131"]),
        ("82 + 90 + 41 = 213. Too high. The second one is simpler.", ["V Too high"]),
        ("82 + 90 = 172. I keep coming back to 172.", []),
        ("82 + 90 = 172. 172 + 13 = 185. The closest is 172 + 13 = 185.", []),
    ],
)
def test_markers_of_backtracking_and_what_is_none(text: str, expected: list[str]) -> None:
    assert judged(text) == expected


@pytest.mark.parametrize(
    "verdict",
    [
        "miles away",
        "The target is not reached",
        "One more than wanted",
        "The total is 27 short",
        "This is **27** below **199**",
        r"This is \(27\) below \(199\)",
        "Insufficient",
        "This is not the number sought",
    ],
)
def test_wordings_of_verdicts(verdict: str) -> None:
    assert judged(f"82 + 90 = 172. {verdict}.") == [f"V {verdict}"]


def test_a_verdict_stands_up_to_two_paragraphs_below() -> None:
    assert judged("82 + 90 = 172\n\nLet us see.\n\nToo low.") == ["V Too low"]
    assert judged("82 + 90 = 172\n\nOne.\n\nTwo.\n\nThree.\n\nToo low.") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("41 * (90 - 82) + 13: 90 - 82 = 8, 41 * 8 = 328, 328 + 13 = 341", []),
        ("82 + 41 * 13 + 90. First 41 * 13 = 533, then 82 + 533 = 615, then 615 + 90 = 705.", []),
        (
            "90 * 82 = 7380 (no). 41 * 13 - 90 + 82; here 41 * 13 = 533 and 533 - 90 = 443.",
            ["V (no)", "B 41 * 13 - 90 + 82; here 41 * 13 = 533 and 533 - 90 = 443"],
        ),
        ("82 + 41 + 13 = 136. 82 + 13 = 95.", ["B 82 + 13 = 95"]),  # the same numbers in another structure
        ("90 + 41 = 131 (no). 82 - 90 + 41 = 33", ["V (no)", "B 82 - 90 + 41 = 33"]),  # `90 + 41` is no operand of it
        ("82 + 90 * 13 + 41 = 1293. 82 + 41 = 123.", ["B 82 + 41 = 123"]),
    ],
)
def test_parts_of_a_whole_formula_are_told_by_its_structure(text: str, expected: list[str]) -> None:
    assert judged(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "90 + 82 = 172，偏小。反过来，90 + 41 = 131，差一点。",
            ["V 偏小", "B 反过来，90 + 41 = 131", "V 差一点"],
        ),
        ("90 + 82 = 172。放弃，换成 41 × 13 = 533，比 199 大。", ["B 放弃，换成 41 × 13 = 533", "V 比 199 大"]),
        ("90 + 82 = 172。需要 41、13 得 27。", ["S 需要 41、13 得 27"]),
        ("90 + 82 = 172，大了 5。", ["V 大了 5"]),
        ("90 + 82 = 172！不对！41 没用。", ["V 不对"]),
    ],
)
def test_chinese_markers_verdicts_and_goals(text: str, expected: list[str]) -> None:
    assert judged(text) == expected


def test_an_answer_element_that_computes_more_than_once_is_reasoning() -> None:
    assert judged("<answer>82 + 90 = 172 (no)\n41 * 13 = 533 (no)</answer>") == ["V (no)", "B 41 * 13 = 533", "V (no)"]
    assert judged("82 + 90 = 172 <answer>41 * 13 = 533</answer>") == []


def test_tables_arrows_and_names_with_digits() -> None:
    rows = "| 82 + 90 | 172 | no |\n| 90 + 41 + 82 - 13 - 1 | 199 | yes |"
    assert judged(rows) == ["V no", "B 90 + 41 + 82 - 13 - 1 | 199", "V yes"]
    assert judged("82 + 90 + 41 = 213 → 14 too many") == ["V → 14 too many"]
    assert judged("x2 = 82 + 90\nx3 = x2 - 13") == []
