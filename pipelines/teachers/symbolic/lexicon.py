"""Every fixed phrase the symbolic teacher can write, by style."""

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
"""The closed vocabulary of the plain style beside whole numbers. Plain text is these and numbers, one space between."""


def phrases(style: str) -> tuple[str, ...]:
    """Every fixed phrase the teacher can write in a style, operators and tags included, numbers not.

    Phrases have no space at their ends. In the plain style a text is a row of phrases and whole numbers with
    exactly one space between neighbours, so a word-level tokenizer with one token a phrase covers all of it;
    where one phrase begins another, the longer one is meant. The words of the `mini` prompt are among them.

    Raises:
        InvalidInput: there is no such style.
    """
    if style == "plain":
        return PLAIN
    if style == "varied":
        tags = (OPEN_THOUGHT, CLOSE_THOUGHT, ANSWER_OPEN, ANSWER_CLOSE)
        return tuple(dict.fromkeys((*tags, *SIGNS, "×", "÷", "−", "·", *wording.fixed_phrases())))
    raise InvalidInput(f"the teacher has no style {style!r}", remedy=f"Styles: {', '.join(STYLES)}.")
