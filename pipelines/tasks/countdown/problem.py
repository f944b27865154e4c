"""A Countdown problem and its identity."""

from collections.abc import Iterable, Sequence
from typing import Final

from pydantic import field_validator

from pipelines.records import Record

MIN_NUMBERS: Final = 2
MAX_NUMBERS: Final = 6

ProblemKey = tuple[tuple[int, ...], int]
"""The sorted numbers and the target, which identify a problem."""


class Problem(Record):
    """Reach the target with all the numbers, each exactly once."""

    id: str
    """Derived from numbers and target (`problem_id`), unless the problem file states an id."""
    numbers: tuple[int, ...]
    """In the order of the prompt."""
    target: int

    @field_validator("numbers")
    @classmethod
    def _as_the_task_has_them(cls, numbers: tuple[int, ...]) -> tuple[int, ...]:
        check_numbers(numbers)
        return numbers

    @property
    def key(self) -> ProblemKey:
        """Identity of the problem, independent of the order of the numbers and of the id."""
        return tuple(sorted(self.numbers)), self.target


def check_numbers(numbers: Sequence[int]) -> None:
    """Raise ValueError where a problem has too few or too many numbers, or a negative one."""
    if not MIN_NUMBERS <= len(numbers) <= MAX_NUMBERS:
        raise ValueError(f"a problem has {MIN_NUMBERS} to {MAX_NUMBERS} numbers, not {len(numbers)}")
    if min(numbers) < 0:
        raise ValueError(f"the number {min(numbers)} is negative")


def problem_id(numbers: Iterable[int], target: int) -> str:
    """Return the id derived from numbers and target: `3-7-25_46` is 46 from 3, 7 and 25 in any order."""
    return f"{'-'.join(map(str, sorted(numbers)))}_{target}"


def make_problem(numbers: Iterable[int], target: int) -> Problem:
    """Return a problem with its derived id.

    Raises:
        ValueError: too few or too many numbers, or a negative one.
    """
    given = tuple(numbers)
    return Problem(id=problem_id(given, target), numbers=given, target=target)
