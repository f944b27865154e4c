"""Finds and formats Countdown puzzles in documents of the miniature corpus, e.g. `numbers 3 4 5 goal 24`."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.teachers.symbolic.lexicon import ANSWER_CLOSE, ANSWER_OPEN, CLOSE_THOUGHT, GOAL, NUMBERS

_STATEMENT: Final = re.compile(rf"(?m)^{NUMBERS}((?: \d{{1,9}})+) {GOAL} (\d{{1,9}})(?: \.)?(?:\n|\Z)")
_ANSWER: Final = re.compile(rf"{re.escape(ANSWER_OPEN)} ?(.*?) ?{re.escape(ANSWER_CLOSE)}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PuzzleSection:
    """One puzzle of a document: its statement and the body up to the next puzzle."""

    start: int
    """Offset of the statement, in code points."""
    body: int
    """Offset of the end of the statement, where the body begins."""
    end: int
    numbers: tuple[int, ...]
    target: int


def find_puzzles(text: str) -> list[PuzzleSection]:
    """Return the puzzles of a document in order; each extends to the next."""
    found = list(_STATEMENT.finditer(text))
    if not found:
        return []
    ends = [match.start() for match in found[1:]] + [len(text)]
    return [
        PuzzleSection(match.start(), match.end(), end, tuple(map(int, match[1].split())), int(match[2]))
        for match, end in zip(found, ends, strict=True)
    ]


def format_statement(numbers: Sequence[int], target: int) -> str:
    """Return the line that states a puzzle."""
    return f"{NUMBERS} {' '.join(map(str, numbers))} {GOAL} {target}\n"


def thought_and_answer(body: str) -> tuple[str, str] | None:
    """Return the thought and the answer in the body of a puzzle; None if it has no answer."""
    match = _ANSWER.search(body)
    if match is None:
        return None
    return body[: match.start()].replace(CLOSE_THOUGHT, "").strip(), match[1].strip()


def format_solution(thought: str, answer: str) -> str:
    """Return the body of a puzzle in the form that documents have."""
    return f"{thought}\n{ANSWER_OPEN} {answer} {ANSWER_CLOSE}\n"
