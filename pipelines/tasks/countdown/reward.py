"""The exact reward of the Countdown task (docs/countdown.md names every difference from the published rule)."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from pydantic import ConfigDict, Field

from pipelines.stages import ConfigModel
from pipelines.tasks.countdown.expression import MAX_LENGTH, DivisionByZero, ExpressionError, TooLong, parse
from pipelines.tasks.protocol import Score

OPENING: Final = "<answer>"
CLOSING: Final = "</answer>"

REASONS: Final[dict[str, str]] = {
    "correct": "correct",
    "no_answer": "there is no <answer>…</answer>",
    "empty": "the answer is empty",
    "too_long": f"the answer is longer than {MAX_LENGTH:,} characters",
    "malformed": "the answer is not an expression of + - * /, parentheses and whole numbers",
    "wrong_numbers": "the answer does not use the given numbers, each exactly once",
    "division_by_zero": "the answer divides by zero",
    "wrong_value": "the answer has another value than the target",
}
"""Each `Score.reason` as a sentence for a screen."""


class RewardRules(ConfigModel):
    """The rewards of a right and of any other answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    correct: float = Field(default=1.0, allow_inf_nan=False, description="Reward of a right answer.")
    wrong: float = Field(
        default=0.1, allow_inf_nan=False, description="Reward of an answer that is wrong, illegal or malformed."
    )
    none: float = Field(default=0.0, allow_inf_nan=False, description="Reward where there is no answer.")
    allow_subset: bool = Field(
        default=False, description="Whether an answer may leave given numbers out; it never may use one twice."
    )


PUBLISHED: Final = RewardRules()
"""1 correct, 0.1 for any other answer, 0 for none: as published."""


def find_answer(completion: str) -> tuple[int, int] | None:
    """Return the offsets (start, end) of the text in the last complete `<answer>…</answer>`, or None."""
    last_closing = completion.rfind(CLOSING)
    if last_closing < 0:
        return None
    opening = completion.rfind(OPENING, 0, last_closing)
    if opening < 0:
        return None
    start = opening + len(OPENING)
    return start, completion.index(CLOSING, start)


def score_completion(completion: str, numbers: Sequence[int], target: int, rules: RewardRules = PUBLISHED) -> Score:
    """Score a completion (without its prompt) by the exact value of its last answer.

    The answer may stand on several lines. It is right when it uses the given numbers, each exactly once,
    with `+ - * /` and parentheses, and its value equals the target exactly.

    Returns:
        The score. `answer` is cut after `MAX_LENGTH` characters; `value` is the exact value of the answer as a
        `Fraction`, also where it uses wrong numbers; `reason` is a key of `REASONS`.
    """
    place = find_answer(completion)
    if place is None:
        return Score(rules.none, False, None, "no_answer")
    start, end = place
    answer = completion[start:end].strip()
    if not answer:
        return Score(rules.wrong, False, answer, "empty")
    try:
        expression = parse(answer)
        numerator, denominator = expression.ratio()
    except DivisionByZero:
        return Score(rules.wrong, False, answer, "division_by_zero")
    except TooLong:
        return Score(rules.wrong, False, answer[:MAX_LENGTH], "too_long")
    except ExpressionError:
        return Score(rules.wrong, False, answer, "malformed")
    value = Fraction(numerator, denominator)
    if not _legal(expression.numbers, numbers, rules.allow_subset):
        return Score(rules.wrong, False, answer, "wrong_numbers", value)
    if numerator != target * denominator:
        return Score(rules.wrong, False, answer, "wrong_value", value)
    return Score(rules.correct, True, answer, "correct", value)


def _legal(used: Sequence[int], given: Sequence[int], allow_subset: bool) -> bool:
    if not allow_subset:
        return sorted(used) == sorted(given)
    return Counter(used) <= Counter(given)
