"""Documents that state one of the problems a model will be evaluated on."""

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
"""Characters within which the target of a statement stands, before or behind the numbers."""
_GAP: Final = 16
"""Characters between two numbers of a list."""


class LeakDetector:
    """Finds statements of problems: their numbers in a list, in any order, with the target close by.

    That a text works out a result which also answers an evaluation problem is no leak: an honest search comes across
    many such results. What is looked for is the question.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._targets: dict[tuple[int, ...], set[int]] = defaultdict(set)
        for problem in problems:
            self._targets[tuple(sorted(problem.numbers))].add(problem.target)
        self._sizes = sorted({len(numbers) for numbers in self._targets})

    def states_problem(self, text: str, numbers: Iterable[int] = (), target: int = 0) -> bool:
        """Whether a document states one of the problems.

        Args:
            text: the document.
            numbers: those the source itself says the document is about.
            target: and their target.
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
                # What stands before the list must be in its sentence: the last one's numbers are another matter.
                apart = len(between) > _NEAR or (at < start and re.search(r"[.!?]\s", between) is not None)
                if value in targets and not apart and not _SIGN.search(between):
                    return True
        return False
