import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.countdown import score_completion
from pipelines.tasks.countdown.expression import MAX_LENGTH
from pipelines.tasks.countdown.reward import REASONS, RewardRules, find_answer
from pipelines.tasks.countdown.solver import solve
from pipelines.tasks.protocol import Score
from tests.tasks.countdown.published import published_reward


def answered(text: str) -> str:
    return f"3 * 7 = 21, plus 4 is 25.</think>\n<answer> {text} </answer>"


def test_right_answer() -> None:
    assert score_completion(answered("(3 * 7) + 4"), [4, 3, 7], 25) == Score(
        1.0, True, "(3 * 7) + 4", "correct", Fraction(25)
    )


def test_right_through_a_fraction() -> None:
    score = score_completion(answered("8 / (3 - 8 / 3)"), (8, 3, 8, 3), 24)
    assert (score.reward, score.value) == (1.0, Fraction(24))


@pytest.mark.parametrize(
    ("answer", "reason", "value"),
    [
        ("3 * 7 - 4", "wrong_value", Fraction(17)),
        ("7 / 3 - 4", "wrong_value", Fraction(-5, 3)),
        ("3 * 7", "wrong_numbers", Fraction(21)),
        ("3 * 7 + 4 + 0", "wrong_numbers", Fraction(25)),
        ("3 * 7 + 4 * 1", "wrong_numbers", Fraction(25)),
        ("25", "wrong_numbers", Fraction(25)),
        ("37 + 4", "wrong_numbers", Fraction(41)),
        ("4 / (7 - 3 - 4)", "division_by_zero", None),
        ("3 * 7 + 4 = 25", "malformed", None),
        ("3 x 7 + 4", "malformed", None),
        ("3 * 7 +", "malformed", None),
        ("the answer is 25", "malformed", None),
        ("", "empty", None),
        ("   \n ", "empty", None),
    ],
)
def test_other_answers_earn_a_tenth(answer: str, reason: str, value: Fraction | None) -> None:
    score = score_completion(answered(answer), [3, 4, 7], 25)
    assert score == Score(0.1, False, answer.strip(), score.reason, value)
    assert score.reason == reason


@pytest.mark.parametrize(
    "completion",
    ["", "3 * 7 + 4", "<answer>3 * 7 + 4", "3 * 7 + 4</answer>", "</answer>3*7+4<answer>", "<Answer>3*7+4</Answer>"],
)
def test_no_answer_earns_nothing(completion: str) -> None:
    assert score_completion(completion, [3, 4, 7], 25) == Score(0.0, False, None, "no_answer")


def test_the_last_answer_counts() -> None:
    assert score_completion("<answer>1</answer><answer>3*7+4</answer>", [3, 4, 7], 25).correct
    assert not score_completion("<answer>3*7+4</answer> or <answer>3*7</answer>", [3, 4, 7], 25).correct


def test_an_answer_that_was_only_begun_does_not_replace_the_last_complete_one() -> None:
    assert score_completion("<answer>3*7+4</answer> wait, <answer>3*", [3, 4, 7], 25).correct
    assert score_completion("<answer>3*7+4</answer> and </answer>", [3, 4, 7], 25).correct


def test_find_answer_gives_offsets() -> None:
    completion = "a <answer> 1 + 2 </answer> b"
    place = find_answer(completion)
    assert place is not None
    assert completion[slice(*place)] == " 1 + 2 "


def test_rewards_can_be_set() -> None:
    rules = RewardRules(correct=2.0, wrong=-0.5, none=-1.0)
    assert score_completion(answered("3*7+4"), [3, 4, 7], 25, rules).reward == 2.0
    assert score_completion(answered("3*7"), [3, 4, 7], 25, rules).reward == -0.5
    assert score_completion("", [3, 4, 7], 25, rules).reward == -1.0


@pytest.mark.parametrize("field", ["correct", "wrong", "none"])
def test_a_reward_that_is_no_number_is_refused(field: str) -> None:
    with pytest.raises(ValidationError):
        RewardRules.model_validate({field: float("nan")})


def test_a_subset_is_right_only_where_it_is_allowed() -> None:
    subset = RewardRules(allow_subset=True)
    assert score_completion(answered("3 * 7"), [3, 4, 7], 21).reason == "wrong_numbers"
    assert score_completion(answered("3 * 7"), [3, 4, 7], 21, subset).correct
    assert score_completion(answered("3 * 7 + 4"), [3, 4, 7], 25, subset).correct
    assert score_completion(answered("3 * 3"), [3, 4, 7], 9, subset).reason == "wrong_numbers"
    assert score_completion(answered("3 * 3"), [3, 3, 7], 9, subset).correct


def test_every_reason_has_words() -> None:
    assert all(REASONS.values())
    assert json.dumps(REASONS)


_NUMBERS = st.lists(st.integers(1, 20), min_size=2, max_size=4)


@st.composite
def _well_formed(draw: st.DrawFn) -> tuple[str, list[int]]:
    """An expression in the grammar both rules read, and numbers that are mostly the ones it uses."""
    numbers = draw(_NUMBERS)
    parts = [str(each) for each in draw(st.permutations(numbers))]
    while len(parts) > 1:
        operation = draw(st.sampled_from(["+", "-", "*", "/", " + ", " - ", " * ", " / "]))
        joined = f"{parts.pop()}{operation}{parts.pop()}"
        wrap = draw(st.sampled_from(["{}", "({})", "( {} )", "-({})"]))
        parts.append(wrap.format(joined))
    given_numbers = numbers if draw(st.integers(0, 4)) else draw(_NUMBERS)
    return parts[0], given_numbers


@given(_well_formed(), st.integers(-5, 40), st.booleans())
def test_agrees_with_the_published_rule_on_well_formed_answers(
    case: tuple[str, list[int]], target: int, aim: bool
) -> None:
    answer, numbers = case
    score = score_completion(answered(answer), numbers, target)
    if aim and score.value is not None and score.value.denominator == 1:
        target = int(score.value)
        score = score_completion(answered(answer), numbers, target)
    assert score.reward == published_reward(answered(answer), numbers, target)


@given(_NUMBERS, st.integers(1, 60))
def test_agrees_with_the_published_rule_on_solutions(numbers: list[int], target: int) -> None:
    solution = solve(numbers, target)
    if solution is not None:
        assert score_completion(answered(solution), numbers, target).reward == 1.0
        assert published_reward(answered(solution), numbers, target) == 1.0


_TAGGED = st.lists(
    st.sampled_from(["<answer>", "</answer>", "<answer", "answer>", "3*7+4", "3*7", " ", "(", "no\n"]), max_size=12
).map("".join)


@given(_TAGGED)
def test_tags_in_any_order(text: str) -> None:
    """The answer is what stands after the last opening tag that is closed, up to the first closing one."""
    place = find_answer(text)
    closings = [index for index in range(len(text)) if text.startswith("</answer>", index)]
    openings = [index for index in range(len(text)) if text.startswith("<answer>", index)]
    closed = [index for index in openings if any(closing > index for closing in closings)]
    if not closed:
        assert place is None
        return
    assert place == (closed[-1] + 8, min(closing for closing in closings if closing > closed[-1]))


@given(st.text(max_size=200))
def test_any_completion_has_a_score(text: str) -> None:
    assert score_completion(text, [3, 4, 7], 25).reward in (0.0, 0.1, 1.0)
    inside = score_completion(f"<answer>{text}</answer>", [3, 4, 7], 25)
    assert inside.reward in (0.1, 1.0)
    assert inside.answer is not None


def test_a_stored_answer_is_never_longer_than_the_limit() -> None:
    score = score_completion(answered("1 + " * 300_000 + "1"), [3, 4, 7], 25)
    assert (score.reward, score.reason) == (0.1, "too_long")
    assert score.answer is not None
    assert len(score.answer) == MAX_LENGTH


@pytest.mark.parametrize(
    "hostile",
    [
        "<answer>" * 200_000,
        "</answer>" * 200_000,
        "<answer></answer>" * 100_000,
        "<answer>" * 100_000 + "</answer>" * 100_000,
        "<answer>" + "((" * 500_000 + "</answer>",
        "<answer>" + "9" * 1_000_000 + "</answer>",
        "<answer>" + "-" * 1_000_000 + "5</answer>",
        "<answer>" + "9**" * 300 + "9</answer>",
    ],
)
def test_a_hostile_megabyte(hostile: str) -> None:
    """Anything but linear work would not end within the patience of a test run."""
    assert not score_completion(hostile, [3, 4, 7], 25).correct
