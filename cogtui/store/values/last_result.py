"""Answers that pass over many rows, kept until what they are about has changed."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class LastResultCache:
    """The last answer of each kind."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[object, Any]] = {}

    def answer(self, kind: str, about: object, make: Callable[[], T]) -> T:
        """The answer of a kind: the last one if it was about the same, else a new one.

        Args:
            kind: names the question; one kind has answers of one type.
            about: what the answer follows from, such as a filter and the version of the index.
            make: works it out.
        """
        known = self._answers.get(kind)
        if known is None or known[0] != about:
            known = self._answers[kind] = (about, make())
        found: T = known[1]
        return found

    def forget(self) -> None:
        """Forgets all answers."""
        self._answers.clear()
