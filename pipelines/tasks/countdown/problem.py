"""A Countdown problem and what makes two of them the same."""

from collections.abc import Iterable
from typing import Final

from pydantic import field_validator

from pipelines.records import Record

MIN_NUMBERS: Final = 2
MAX_NUMBERS: Final = 6

ProblemKey = tuple[tuple[int, ...], int]
"""The sorted numbers and the target: problems that share it are the same problem."""


class Problem(Record):
    """Reach the target with all the numbers, each exactly once."""

    id: str
    """Made of numbers and target (`problem_id`), unless the file it was read from has ids of its own."""
    numbers: tuple[int, ...]
    """In the order the prompt shows them."""
    target: int

    @field_validator("numbers")
    @classmethod
    def _as_the_task_has_them(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        if not MIN_NUMBERS <= len(numbers) <= MAX_NUMBERS:
            raise ValueError(f"a problem has {MIN_NUMBERS} to {MAX_NUMBERS} numbers, not {len(numbers)}")
        if min(numbers) < 0:
            raise ValueError(f"the number {min(numbers)} is negative")
        return numbers

    @property
    def key(self) -> ProblemKey:
        """Identity of the problem: neither the order of the numbers nor the id counts."""
        return tuple(sorted(self.numbers)), self.target


def problem_id(numbers: Iterable[int], target: int) -> str:
    """Return an id that follows from the problem alone: `3-7-25_46` is 46 from 3, 7 and 25 in any order."""
    return f"{'-'.join(map(str, sorted(numbers)))}_{target}"


def make_problem(numbers: Iterable[int], target: int) -> Problem:
    """Return a problem with the id that follows from it.

    Raises:
        ValueError: too few or too many numbers, or a negative one.
    """
    given = tuple(numbers)
    return Problem(id=problem_id(given, target), numbers=given, target=target)
