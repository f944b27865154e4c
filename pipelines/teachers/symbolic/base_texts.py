"""Base text without behaviours, on which a small model learns arithmetic before it is primed.

Three kinds, all in the plain vocabulary (`lexicon.PLAIN`), are mixed in every optimizer step: *linear solutions* of
problems, most of them wrong; *documents*, which compare numbers and results with one goal; *worksheets*, which combine
the same numbers in many ways without a goal. None of them searches for a problem's target, so a model trained on them
does not either.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.problems import Problem, make_problem
from pipelines.tasks.countdown.rules import Arithmetic
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.symbolic.arithmetic import Calculator, Equation
from pipelines.teachers.symbolic.linear import LinearPaths
from pipelines.teachers.symbolic.plain_style import chain_words, step_words, write_plain
from pipelines.teachers.symbolic.search import last_steps
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from pipelines.teachers.teacher import DroppedTrace

_DRAWS: Final = 50
_KNOWN_GOALS: Final = 0.7
"""Fraction of documents whose goal is a target of the problems; the others have any number as goal."""
_SHORT_DOCUMENTS: Final = 0.6
_LONG_RATE: Final = 0.3
_HABIT_FAILURES: Final = 3
"""Most failed attempts in a search trace of the base text."""
_LONGEST_HEAD: Final = 20
"""Most words of a prompt with which a document may begin."""
_BARE_NUMBERS: Final = 0.65
"""Fraction of statements that are a number without arithmetic; they teach the comparison fastest."""


@dataclass(frozen=True, slots=True)
class PretrainingText:
    """One text to pretrain on."""

    prompt: str
    """Context outside the loss; empty for documents and worksheets."""
    text: str
    """Text in the loss, except for masked ranges."""
    masked: tuple[tuple[int, int], ...] = ()
    """Half-open code-point ranges of unpredictable words in `text`, which are outside the loss. Each covers whole
    words, without the space before the first."""


class WordBuffer:
    """Words separated by single spaces, some of them masked, up to a maximum number."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.words: list[str] = []
        self._masked: list[bool] = []

    @property
    def full(self) -> bool:
        """Whether it has reached its maximum number of words."""
        return len(self.words) >= self.length

    def add(self, *words: str, masked: bool = False) -> None:
        """Appends words."""
        self.words.extend(words)
        self._masked.extend([masked] * len(words))

    def cut(self, words: int) -> None:
        """Remove all but the first words."""
        del self.words[words:], self._masked[words:]

    def text(self, head: str = "") -> PretrainingText:
        """Return the text, truncated to its maximum length, after a masked head."""
        ranges = [(0, len(head))] if head else []
        at = len(head)
        for word, masked in zip(self.words[: self.length], self._masked, strict=False):
            if masked:
                ranges.append((at, at + len(word)))
            at += len(word) + 1
        return PretrainingText("", head + " ".join(self.words[: self.length]), tuple(ranges))


class PretrainingSource:
    """Generates base text for a task from the numbers and targets of its problems.

    Args:
        task: gives arithmetic and prompt.
        problems: the training problems; linear solutions are of these only.

    Raises:
        InvalidInput: no problems.
    """

    def __init__(self, task: CountdownTask, problems: Sequence[Problem]) -> None:
        if not problems:
            raise InvalidInput("there are no problems to write pretraining text for")
        self.task = task
        self.problems = problems
        self.calculator = Calculator(task.arithmetic, negative=False)
        self.numbers = sorted({number for problem in problems for number in problem.numbers})
        self.goals = sorted({problem.target for problem in problems})
        self._linear = LinearPaths(self.calculator)
        self._habits = SymbolicTeacher(task, SymbolicWritingConfig(style="plain", failed_attempts=(0, _HABIT_FAILURES)))
        # Verdicts cover all values an attempt can come to, except rare huge ones.
        self._top = largest_number(task.arithmetic, problems)
        if task.arithmetic.maximum is None:
            self._top = min(self._top, 2 * self.goals[-1])

    def habit(self, rng: random.Random, *, condition: str) -> PretrainingText:
        """A problem and a search for its answer that shows the behaviours of a priming condition.

        Raises:
            InvalidInput: no search solves any of the problems tried.
        """
        for _ in range(_DRAWS):
            problem = rng.choice(self.problems)
            written = self._habits.write(problem, condition, rng)
            if not isinstance(written, DroppedTrace):
                return PretrainingText(self.task.prompt(problem), written.completion)
        raise InvalidInput(
            f"the teacher found no search of the condition {condition} for these problems",
            remedy="Ask for other problems, or set pretraining.habits to 0.",
        )

    def linear(self, rng: random.Random, *, correct: float = 0.3) -> PretrainingText:
        """Write a problem and one legal path to an answer, which is right with probability `correct`.

        Raises:
            InvalidInput: no problem has a legal path in whole numbers.
        """
        right = rng.random() < correct
        for _ in range(_DRAWS):
            problem = rng.choice(self.problems)
            write = self._linear.right if right else self._linear.wrong
            line = write(problem.numbers, problem.target, rng)
            if line is None:
                continue
            prompt = self.task.prompt(problem)
            draft = write_plain(
                line,
                frozenset(),
                operations=self.task.arithmetic.operations,
                space_first=not prompt[-1:].isspace(),
                close_thought=self.task.opens_thought,
            )
            return PretrainingText(prompt, draft.text())
        raise InvalidInput(
            f"{_DRAWS} problems in a row have no {'solution' if right else 'path'} in whole numbers",
            remedy="Set integers_only for the arithmetic of the problems.",
        )

    def document(self, rng: random.Random, *, words: int = 140, hits: float = 0.4) -> PretrainingText:
        """Write a goal, then numbers, equations and two-step lines with true verdicts about the goal, until one hits.

        After a miss comes the phrase for trying something else. Random operands are masked; results and verdicts are
        in the loss. The head is that of a prompt, so that the model finds the goal in problems at the same place; its
        numbers are not used, and no thought is opened.

        A document has one goal and one hit. With several goals, or text after a hit, a small model learns to repeat an
        earlier verdict on the same number and never looks at the goal.

        Args:
            rng: source of random choices.
            words: most words of a document; most documents are much shorter.
            hits: fraction of hits among the verdicts of a short document. Two fifths are longer, with fewer hits.
        """
        goal = rng.choice(self.goals) if rng.random() < _KNOWN_GOALS else int(rng.random() * (self._top + 1))
        head = self._head(rng.choice(self.problems).numbers, goal)
        rate = hits if rng.random() < _SHORT_DOCUMENTS else _LONG_RATE * hits
        page = WordBuffer(words - len(head.split()))
        while True:
            before = len(page.words)
            value = self._statement(page, goal if rng.random() < rate else None, rng)
            page.add(lexicon.VERDICT_YES if value == goal else lexicon.VERDICT_NO)
            if len(page.words) > page.length and before:
                page.cut(before)
                break
            if value == goal:
                break
            page.add(lexicon.TRY_AGAIN)
        return page.text(head)

    def worksheet(self, rng: random.Random, *, words: int = 140) -> PretrainingText:
        """Write the numbers of a problem and many legal combinations of all of them, without a goal."""
        page = WordBuffer(words)
        numbers = list(rng.choice(self.problems).numbers)
        rng.shuffle(numbers)
        page.add(lexicon.NUMBERS)
        page.add(*map(str, numbers), masked=True)
        page.add(".")
        missed = 0
        while not page.full:
            chain = self.calculator.random_chain(numbers, rng)
            if chain is not None:
                page.add(*chain_words(chain), ".")
                continue
            missed += 1
            if missed > _DRAWS:
                missed = 0
                numbers[:] = rng.choice(self.problems).numbers
        return page.text()

    def _head(self, numbers: Sequence[int], goal: int) -> str:
        """Return a prompt up to its open thought, if it is short; else the same information in plain words."""
        if self.task.opens_thought:
            head = self.task.prompt(make_problem(numbers, goal)).rpartition(lexicon.OPEN_THOUGHT)[0]
            if len(head.split()) <= _LONGEST_HEAD:
                return head
        return f"{lexicon.NUMBERS} {' '.join(map(str, numbers))} {lexicon.GOAL} {goal} . "

    def _statement(self, page: WordBuffer, goal: int | None, rng: random.Random) -> int:
        """Write a number or up to two equations, whose value is the goal if one is given; return the value."""
        step = None if rng.random() < _BARE_NUMBERS else self._step(goal, rng)
        if step is None:
            value = int(rng.random() * (self._top + 1)) if goal is None else goal
            page.add(str(value), masked=True)
            return value
        before = self._step(step.left, rng) if rng.random() < 0.5 else None
        if before is not None:
            self._equation(page, before, known=False)
            page.add(",")
        self._equation(page, step, known=before is not None)
        return step.result

    def _equation(self, page: WordBuffer, step: Equation, *, known: bool) -> None:
        left, sign, right, equals, result = step_words(step)
        page.add(left, masked=not known)
        page.add(sign, right, masked=True)
        page.add(equals, result)

    def _step(self, result: int | None, rng: random.Random) -> Equation | None:
        """Return a random legal equation with a number of the problems on the right; None if none was found."""
        for _ in range(8):
            right = rng.choice(self.numbers)
            if result is None:
                left = int(rng.random() * (self._top + 1)) if rng.random() < 0.5 else rng.choice(self.numbers)
                found = [Equation(left, sign, right, value) for sign, value in self.calculator.results(left, right)]
            else:
                found = [step for step in last_steps(right, result, self.calculator) if step.left <= self._top]
            if found:
                return found[int(rng.random() * len(found))]
        return None


def largest_number(arithmetic: Arithmetic, problems: Sequence[Problem]) -> int:
    """Return the largest whole number in plain text about these problems; a tokenizer needs all from 0 to it."""
    given = max(max(*problem.numbers, problem.target) for problem in problems)
    bound = Calculator(arithmetic, negative=False).arithmetic.maximum
    assert bound is not None  # a calculator always has one
    return max(given, bound)
