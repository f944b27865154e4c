"""Every deliberate difference from the published rule, by name; docs/countdown.md lists the same ones."""

import re
from pathlib import Path

import pytest

from pipelines.tasks.countdown.expression import MAX_LENGTH
from pipelines.tasks.countdown.reward import score_completion
from pipelines.tasks.countdown.stage import CountdownConfig
from tests.tasks.countdown.published import published_reward

_THIS_FILE = Path(__file__)
_DOCS = _THIS_FILE.parents[3] / "docs" / "countdown.md"


def _rewards(completion: str, numbers: list[int], target: int) -> tuple[float, float]:
    """Ours and the published one."""
    return score_completion(completion, numbers, target).reward, published_reward(completion, numbers, target)


def test_powers_are_refused() -> None:
    assert _rewards("<answer>2 ** 5</answer>", [2, 5], 32) == (0.1, 1.0)


def test_floor_division_is_refused() -> None:
    assert _rewards("<answer>17 // 3</answer>", [3, 17], 5) == (0.1, 1.0)


def test_a_tower_of_powers_is_refused_at_once() -> None:
    # The published rule would compute it: 9**9**9**9 does not end. So it is not asked.
    assert score_completion("<answer>9**9**9**9</answer>", [9, 9, 9, 9], 9).reward == 0.1


@pytest.mark.parametrize(("answer", "numbers", "target"), [("1.5 * 4", [1, 5, 4], 6), ("3. + 5", [3, 5], 8)])
def test_decimals_are_refused(answer: str, numbers: list[int], target: int) -> None:
    assert _rewards(f"<answer>{answer}</answer>", numbers, target) == (0.1, 1.0)


def test_nearly_right_is_wrong() -> None:
    assert _rewards("<answer>300000 / 300001</answer>", [300_000, 300_001], 1) == (0.1, 1.0)


def test_exact_where_floats_round() -> None:
    big = 2**53
    answer = f"<answer>({big} + 1) / 1 - {big}</answer>"
    assert _rewards(answer, [big, 1, 1, big], 1) == (1.0, 0.1)


def test_an_answer_over_several_lines_is_read() -> None:
    assert _rewards("<answer>\n3 * 7\n+ 4\n</answer>", [3, 4, 7], 25) == (1.0, 0.0)


def test_an_answer_over_several_lines_is_the_last_one() -> None:
    assert _rewards("<answer>3 * 7 + 4</answer>\n<answer>\n3 + 7 + 4\n</answer>", [3, 4, 7], 25) == (0.1, 1.0)


def test_a_tag_in_the_prose_before_the_answer_is_passed_over() -> None:
    completion = "I will put it in <answer> tags: <answer>3 * 7 + 4</answer>"
    assert _rewards(completion, [3, 4, 7], 25) == (1.0, 0.1)


def test_a_double_zero_is_refused() -> None:
    assert _rewards("<answer>5 + 00</answer>", [0, 5], 5) == (0.1, 1.0)


def test_a_long_answer_is_refused() -> None:
    answer = f"<answer>3 * {' ' * MAX_LENGTH} 7 + 4</answer>"
    assert _rewards(answer, [3, 4, 7], 25) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("٣ * 7 + 4", [3, 4, 7]),
        ("３ * 7 + 4", [3, 4, 7]),
        ("1_0 + 15", [10, 15]),
        ("10 + 015", [10, 15]),
        ("37 + 4", [3, 4, 7]),
        ("3 7 + 4", [3, 4, 7]),
        ("(3)(7) + 4", [3, 4, 7]),
        ("3 × 7 + 4", [3, 4, 7]),
        ("3 * 7 + 4 = 25", [3, 4, 7]),
        ("3 * 7\u00a0+ 4", [3, 4, 7]),
        ("(" * 10_000 + "3 * 7 + 4" + ")" * 10_000, [3, 4, 7]),
        ("4 / (7 - 3 - 4) + 25", [3, 4, 4, 7, 25]),
    ],
    ids=[
        "arabic digits",
        "full-width digits",
        "underscore",
        "leading zero",
        "concatenated numbers",
        "numbers side by side",
        "implied product",
        "unicode sign",
        "an equation",
        "no-break space",
        "ten thousand parentheses",
        "division by zero",
    ],
)
def test_refused_by_both(answer: str, numbers: list[int]) -> None:
    """No difference in the reward, but in how it comes about: by our grammar, not by an exception of Python's."""
    assert _rewards(f"<answer>{answer}</answer>", numbers, 25) == (0.1, 0.1)


def test_the_docs_list_every_difference() -> None:
    named = set(re.findall(r"^def (test_\w+)\(", _THIS_FILE.read_text(encoding="utf-8"), re.MULTILINE))
    listed = set(re.findall(r"`(test_\w+)`", _DOCS.read_text(encoding="utf-8")))
    assert named - {"test_the_docs_list_every_difference"} == listed - set(CountdownConfig.model_fields)
