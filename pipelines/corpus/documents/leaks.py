"""Detection of documents that state a problem of the evaluation."""

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from pipelines.tasks.countdown.problems import Problem

_NUMBER: Final = re.compile(r"(?<![\w.])\d{1,6}(?![\w]|\.\d)")
_ARITHMETIC: Final = re.compile(r"\d\s*[-+*/×÷·−=^]\s*\(?\s*\d")
_SIGN: Final = re.compile(r"[-+*/×÷−=]")
_NEAR: Final = 160
"""Most characters between the numbers of a statement and its target, on either side."""
_GAP: Final = 16
"""Most characters between two numbers of a list."""


class LeakDetector:
    """Finds statements of problems: their numbers in a list, in any order, with the target close by.

    A text that computes a result which also answers an evaluation problem is no leak, as any search finds many such
    results. Only the question counts.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._targets: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for problem in problems:
            self._targets[tuple(sorted(problem.numbers))].add(problem.target)
        self._sizes = sorted({len(numbers) for numbers in self._targets})

    def states_problem(self, text: str, numbers: Iterable[int] = (), target: int = 0) -> bool:
        """Return whether a document states one of the problems.

        Args:
            text: the document.
            numbers: the numbers of the document's problem, if its source has them.
            target: the target of these numbers.
        """
        if target in self._targets.get(tuple(sorted(numbers)), ()):
            return True
        found = [(int(match[0]), match.start(), match.end()) for match in _NUMBER.finditer(text)]
        return any(self._stated(text, found, size) for size in self._sizes)

    def _stated(self, text: str, found: list[tuple[int, int, int]], size: int) -> bool:
        for first in range(len(found) - size + 1):
            window = found[first : first + size]
            targets = self._targets.get(tuple(sorted(value for value, _, _ in window)))
            if targets is None or any(b[1] - a[2] > _GAP for a, b in pairwise(window)):
                continue
            start, end = window[0][1], window[-1][2]
            if _ARITHMETIC.search(text[start:end]):
                continue
            around = (*found[max(0, first - 2) : first], *found[first + size : first + size + 2])
            for value, at, stop in around:
                between = text[end:at] if at >= end else text[stop:start]
                # A target before the list must be in the same sentence.
                apart = len(between) > _NEAR or (at < start and re.search(r"[.!?]\s", between) is not None)
                if value in targets and not apart and not _SIGN.search(between):
                    return True
        return False
