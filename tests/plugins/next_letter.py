"""A task of an outside package, in one file: name the letter that follows another."""

import random
from collections.abc import Mapping
from string import ascii_lowercase
from typing import Any, Final

from pydantic import Field

from pipelines.tasks.protocol import Description, JsonProblem, Score, TaskConfig

_OPENING: Final = "<answer>"
_CLOSING: Final = "</answer>"


class NextLetterConfig(TaskConfig):
    """Settings of the task, in `task_config` of the `problems` stage."""

    first: str = Field(default="a", pattern="^[a-y]$", description="First letter that is asked about.")


class NextLetter:
    """Which letter follows another in the alphabet."""

    name = "next_letter"
    config_model = NextLetterConfig
    reasons: Mapping[str, str] = {"correct": "it follows", "no_answer": "no answer tag", "wrong": "it does not follow"}

    def problems(self, config: NextLetterConfig) -> tuple[list[JsonProblem], list[JsonProblem]]:
        """Draw letters without repetition; test problems come first."""
        letters = list(ascii_lowercase[ascii_lowercase.index(config.first) : -1])
        random.Random(config.seed).shuffle(letters)
        problems: list[JsonProblem] = [{"id": f"after-{letter}", "letter": letter} for letter in letters]
        return problems[config.test : config.test + config.train], problems[: config.test]

    def prompt(self, problem: JsonProblem) -> str:
        """Ask for the letter."""
        return f"after {problem['letter']} comes"

    def score(self, completion: str, problem: JsonProblem) -> Score:
        """Give 1 for the right letter in the last answer tag."""
        start = completion.rfind(_OPENING)
        end = completion.find(_CLOSING, start)
        if start < 0 or end < 0:
            return Score(0.0, False, None, "no_answer")
        answer = completion[start + len(_OPENING) : end].strip()
        correct = answer == self.solve(problem)
        return Score(float(correct), correct, answer, "correct" if correct else "wrong")

    def describe(self, problem: JsonProblem) -> Description:
        """Show the letter."""
        return Description(f"after {problem['letter']}", f"Name the letter that follows {problem['letter']}.")

    def solve(self, problem: JsonProblem) -> str:
        """Return the letter that follows."""
        letter: Any = problem["letter"]
        return chr(ord(letter) + 1)


TASK: Final = NextLetter()
