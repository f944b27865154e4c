"""Questions with a mathematical answer, such as GSM8K and MATH: numbers compared exactly, the rest by math-verify."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pydantic import Field, field_validator

from pipelines.tasks.answers import final_answer, parse_number
from pipelines.tasks.latex_equality import LONGEST_ANSWER, is_equal, require_math_verify
from pipelines.tasks.protocol import Description, JsonProblem, Score
from pipelines.tasks.question_files import (
    QUESTION_FIELDS,
    QuestionFileConfig,
    check_prompt,
    choose_problems,
    text_field,
)

ANSWER_FIELDS: Final = ("final_answer", "answer", "target", "expected_answer", "ground_truth", "solution")
PROMPT: Final = "{question}\nPlease reason step by step, and put your final answer within \\boxed{{}}.\n"
_ASKED: Final = ("\\boxed", "####", "<answer>")
"""Ways to state a final answer; a prompt of another program's file that asks for one belongs to this task."""
_SHORT: Final = 40


class MathConfig(QuestionFileConfig):
    """Settings of the task `math`."""

    prompt: str = Field(default=PROMPT, description="The prompt, with {question} where the question goes.")

    _check_prompt = field_validator("prompt")(check_prompt)


class MathTask:
    """Questions whose answers are numbers or mathematical expressions."""

    name = "math"
    config_model = MathConfig
    reasons: ClassVar[Mapping[str, str]] = {
        "correct": "The answer equals the gold answer.",
        "wrong": "The answer differs from the gold answer.",
        "no_answer": "There is no final answer: no \\boxed{…}, <answer>…</answer>, #### or “answer is”.",
        "too_long": f"The answer is longer than {LONGEST_ANSWER} characters.",
        "unreadable": "The answer could not be read as mathematics in time.",
    }

    def __init__(self, template: str = PROMPT) -> None:
        self._template = template

    def problems(self, config: MathConfig) -> tuple[list[JsonProblem], list[JsonProblem]]:
        """Read the problems of the files; see `Task.problems`."""

        def make(row: Mapping[str, Any]) -> dict[str, Any]:
            question = text_field(row, config.question_field, QUESTION_FIELDS, "question")
            whole = text_field(row, config.answer_field, ANSWER_FIELDS, "answer")
            gold = gold_answer(whole)
            worked = text_field(row, None, ("solution",), "solution") if row.get("solution") else whole
            return {"question": question, "answer": gold} | ({} if worked == gold else {"solution": worked})

        train, test = choose_problems(config, make)
        if any(parse_number(problem["answer"]) is None for problem in (*train, *test)):
            require_math_verify()
        return train, test

    def settings(self, config: MathConfig) -> dict[str, Any]:
        """Return the template of the prompt."""
        return {"prompt": config.prompt}

    def with_settings(self, settings: Mapping[str, Any]) -> "MathTask":
        """Return the task with what `settings` returned."""
        return MathTask(str(settings.get("prompt", PROMPT)))

    def prompt(self, problem: JsonProblem) -> str:
        """Return the prompt of a problem."""
        return self._template.format(question=problem["question"])

    def score(self, completion: str, problem: JsonProblem) -> Score:
        """Return 1 for a final answer that equals the gold answer, else 0.

        Raises:
            MissingRequirement: the answers are not both numbers, and math-verify is not installed.
        """
        answer = final_answer(completion)
        if answer is None:
            return Score(0.0, False, None, "no_answer")
        gold = str(problem["answer"])
        expected, number = parse_number(gold), parse_number(answer)
        value = None if number is None else str(number)
        if number is not None and expected is not None:
            correct = number == expected
            return Score(float(correct), correct, answer, "correct" if correct else "wrong", value)
        if _plain(answer) == _plain(gold):
            return Score(1.0, True, answer, "correct", value)
        if len(answer) > LONGEST_ANSWER:
            return Score(0.0, False, answer, "too_long")
        equal = is_equal(gold, answer)
        if equal is None:
            return Score(0.0, False, answer, "unreadable", value)
        return Score(float(equal), equal, answer, "correct" if equal else "wrong", value)

    def describe(self, problem: JsonProblem) -> Description:
        """Return the beginning of the question, and the question with the gold answer."""
        question = str(problem["question"])
        short = " ".join(question.split())
        short = short if len(short) <= _SHORT else f"{short[: _SHORT - 1]}…"
        return Description(short, f"{question}\nanswer: {problem['answer']}")

    def solve(self, problem: JsonProblem) -> str | None:
        """Return the worked solution of the file, or the gold answer."""
        return str(problem.get("solution", problem["answer"]))

    def recognise(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the problem of a row that has a gold answer and a prompt that asks for a final answer."""
        gold, prompt = row.get("ground_truth"), row.get("prompt")
        if not isinstance(prompt, str) or not any(mark in prompt for mark in _ASKED):
            return None
        if isinstance(gold, bool) or not isinstance(gold, str | int | float) or not str(gold).strip():
            return None
        return {"question": prompt.strip(), "answer": gold_answer(str(gold).strip())}


def gold_answer(text: str) -> str:
    r"""Return the final answer of a worked solution: the text behind `####` or in `\boxed{…}`, or all of it."""
    if "####" in text or "\\boxed" in text or "\\fbox" in text:
        return final_answer(text) or text
    return text


def _plain(text: str) -> str:
    """Return an answer in words or LaTeX without spaces, case, `\\text` and outer dollars, to compare literally."""
    for mark in ("\\text", "\\mathrm", "\\left", "\\right", "\\!", "\\,", "\\ ", "{", "}", "$", "."):
        text = text.replace(mark, "")
    return "".join(text.split()).casefold()


TASK: Final = MathTask()
