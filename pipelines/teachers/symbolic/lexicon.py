"""All fixed phrases the symbolic teacher can write, by style."""

from typing import Final

from pipelines.errors import InvalidInput
from pipelines.teachers.symbolic import wording

STYLES: Final = ("varied", "plain")

VERDICT_NO: Final = "is not the goal ."
VERDICT_YES: Final = "is the goal ."
TRY_AGAIN: Final = "Let's try something else ."
STOP_HERE: Final = "I stop here ."
NEED: Final = "I need"
FROM: Final = "from"
WORK_BACK: Final = "Working backwards ,"
GOAL: Final = "goal"
NUMBERS: Final = "numbers"
OPEN_THOUGHT: Final = "<think>"
CLOSE_THOUGHT: Final = "</think>"
ANSWER_OPEN: Final = "<answer>"
ANSWER_CLOSE: Final = "</answer>"
SIGNS: Final = ("+", "-", "*", "/", "=", "(", ")", ",", ".")

PLAIN: Final = (
    OPEN_THOUGHT,
    CLOSE_THOUGHT,
    ANSWER_OPEN,
    ANSWER_CLOSE,
    NUMBERS,
    GOAL,
    VERDICT_NO,
    VERDICT_YES,
    TRY_AGAIN,
    STOP_HERE,
    NEED,
    FROM,
    WORK_BACK,
    *SIGNS,
)
"""The closed vocabulary of the plain style, beside whole numbers. Words are separated by single spaces."""


def phrases(style: str) -> tuple[str, ...]:
    """Return every fixed phrase the teacher can write in a style: with operators and tags, without numbers.

    Phrases neither begin nor end with a space. A plain text consists of phrases and whole numbers separated by single
    spaces, so a word-level tokenizer with a token per phrase covers it; if one phrase begins another, the longer one
    applies. The words of the `mini` prompt are included.

    Raises:
        InvalidInput: there is no such style.
    """
    if style == "plain":
        return PLAIN
    if style == "varied":
        tags = (OPEN_THOUGHT, CLOSE_THOUGHT, ANSWER_OPEN, ANSWER_CLOSE)
        return tuple(dict.fromkeys((*tags, *SIGNS, "×", "÷", "−", "·", *wording.fixed_phrases())))
    raise InvalidInput(f"the teacher has no style {style!r}", remedy=f"Styles: {', '.join(STYLES)}.")
