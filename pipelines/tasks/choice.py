"""Multiple choice: a question, options with letters, one of them right. ARC, MMLU and the like."""

import re
from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any, ClassVar, Final

from pydantic import Field

from pipelines.tasks.answers import final_answer
from pipelines.tasks.protocol import Description, JsonProblem, Score
from pipelines.tasks.question_files import QUESTION_FIELDS, QuestionFileConfig, choose_problems, text_field

ANSWER_FIELDS: Final = ("answerKey", "answer", "label", "target", "gold", "ground_truth")
OPTION_FIELDS: Final = ("options", "choices", "endings")
_ASK: Final = "Please reason step by step, and put the letter of your choice within \\boxed{}."
_LETTER: Final = re.compile(r"\(?\s*([A-Za-z])\s*(?:[).:,]|$|\s*[-–—]\s)")
_WRAPPED: Final = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}")
_OPTION_LINE: Final = re.compile(r"^\s*\(?([A-Z])[).:]\s+(\S.*)$", re.MULTILINE)
_SHORT: Final = 40


class ChoiceConfig(QuestionFileConfig):
    """Settings of the task `choice`."""

    options_field: str | None = Field(
        default=None, description=f"Field of the options; without it the first of {', '.join(OPTION_FIELDS)}."
    )


class ChoiceTask:
    """Questions with options, one of which is right."""

    name = "choice"
    config_model = ChoiceConfig
    reasons: ClassVar[Mapping[str, str]] = {
        "correct": "The right option was chosen.",
        "wrong": "Another option was chosen.",
        "no_answer": "There is no final answer: no \\boxed{…}, <answer>…</answer>, #### or “answer is”.",
        "no_option": "The final answer is none of the options.",
    }

    def problems(self, config: ChoiceConfig) -> tuple[list[JsonProblem], list[JsonProblem]]:
        """Read the problems of the files; see `Task.problems`."""

        def make(row: Mapping[str, Any]) -> dict[str, Any]:
            question = text_field(row, config.question_field, QUESTION_FIELDS, "question")
            labels, options = _options(row, config.options_field)
            return {"question": question, "options": options, "answer": _right(row, config, labels, options)}

        return choose_problems(config, make)

    def prompt(self, problem: JsonProblem) -> str:
        """Return the question, an option a line, and how to answer."""
        lines = [str(problem["question"]), *_lines(problem), _ASK]
        return "\n".join(lines) + "\n"

    def score(self, completion: str, problem: JsonProblem) -> Score:
        """Return 1 for the right letter, or the text of the right option, as the final answer."""
        answer = final_answer(completion)
        if answer is None:
            return Score(0.0, False, None, "no_answer")
        letter = _chosen(answer, list(problem["options"]))
        if letter is None:
            return Score(0.0, False, answer, "no_option")
        correct = letter == problem["answer"]
        return Score(float(correct), correct, answer, "correct" if correct else "wrong", letter)

    def describe(self, problem: JsonProblem) -> Description:
        """Return the beginning of the question, and the question with its options and the right one."""
        short = " ".join(str(problem["question"]).split())
        short = short if len(short) <= _SHORT else f"{short[: _SHORT - 1]}…"
        lines = [str(problem["question"]), *_lines(problem), f"answer: {problem['answer']}"]
        return Description(short, "\n".join(lines))

    def solve(self, problem: JsonProblem) -> str | None:
        """Return the right letter with its option."""
        return next(line for line in _lines(problem) if line.startswith(f"{problem['answer']}."))

    def recognise(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the problem of a row whose prompt lists options A, B, … and whose gold answer is one of them."""
        gold, prompt = row.get("ground_truth"), row.get("prompt")
        if not isinstance(prompt, str) or not isinstance(gold, str):
            return None
        gold = gold.strip().strip("().")
        if len(gold) != 1:
            return None
        found = list(_OPTION_LINE.finditer(prompt))
        letters = "".join(match[1] for match in found)
        if len(found) < 2 or not ascii_uppercase.startswith(letters) or gold not in letters:
            return None
        options = [match[2].strip() for match in found]
        return {"question": prompt[: found[0].start()].strip() or "?", "options": options, "answer": gold}


def _lines(problem: JsonProblem) -> list[str]:
    return [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, problem["options"], strict=False)]


def _options(row: Mapping[str, Any], name: str | None) -> tuple[list[str], list[str]]:
    """Return labels and texts of the options: a list, ARC's `{text, label}`, or an object from letter to text."""
    found = name if name is not None else next((each for each in OPTION_FIELDS if row.get(each)), None)
    value = None if found is None else row.get(found)
    labels: list[Any] = []
    if isinstance(value, Mapping) and isinstance(value.get("text"), list):
        labels, value = list(value.get("label") or ()), value["text"]
    elif isinstance(value, Mapping):
        labels, value = list(value), list(value.values())
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise ValueError(f"no options in {found or ', '.join(OPTION_FIELDS)}: a list of texts is needed")
    if not 2 <= len(value) <= len(ascii_uppercase):
        raise ValueError(f"{len(value)} options in {found}; there must be 2 to {len(ascii_uppercase)}")
    if len(labels) != len(value):
        labels = list(ascii_uppercase[: len(value)])
    return list(map(str, labels)), [each.strip() for each in value]


def _right(row: Mapping[str, Any], config: ChoiceConfig, labels: list[str], options: list[str]) -> str:
    """Return the letter of the right option; the row gives its label, its number from 0, or its text."""
    gold = text_field(row, config.answer_field, ANSWER_FIELDS, "right option")
    if gold in labels:
        return ascii_uppercase[labels.index(gold)]
    if gold.isdecimal() and int(gold) < len(options):
        return ascii_uppercase[int(gold)]
    if options.count(gold) == 1:
        return ascii_uppercase[options.index(gold)]
    raise ValueError(f"the right option {gold!r:.60} is none of {', '.join(labels)}")


def _chosen(answer: str, options: list[str]) -> str | None:
    text = _WRAPPED.sub(r"\1", answer).replace("*", "").replace("$", "").strip()
    same = [number for number, option in enumerate(options) if option.casefold() == text.rstrip(".").casefold()]
    if len(same) == 1:
        return ascii_uppercase[same[0]]
    match = _LETTER.match(text)
    letter = match[1].upper() if match else ""
    return letter if letter and letter in ascii_uppercase[: len(options)] else None


TASK: Final = ChoiceTask()
