"""A cache of the last result of each expensive query."""

from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class LastResultCache:
    """Keeps the last result of each kind of query."""

    def __init__(self) -> None:
        self._results: dict[str, tuple[object, Any]] = {}

    def get_or_compute(self, kind: str, key: object, compute: Callable[[], T]) -> T:
        """Return the last result of a kind if it had the same key, else compute it.

        Args:
            kind: name of the query; all its results have one type.
            key: what the result depends on, such as a filter and the version of the index.
            compute: returns the result.
        """
        cached = self._results.get(kind)
        if cached is None or cached[0] != key:
            cached = self._results[kind] = (key, compute())
        result: T = cached[1]
        return result

    def clear(self) -> None:
        """Drop all results."""
        self._results.clear()
