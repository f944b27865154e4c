"""The published reward rule, told in our own words, to compare with: last answer on one line, `eval`, tolerance.

It runs Python on what it is given. Tests hand it short expressions they made themselves, never a model's text.
"""

import re
import warnings
from collections.abc import Sequence

_ANSWER = re.compile("<answer>(.*?)</answer>")
_ALLOWED = re.compile(r"[\d+\-*/().\s]+")


def published_reward(completion: str, numbers: Sequence[int], target: int) -> float:
    """1 correct, 0.1 any other answer, 0 none, decided as the published script decides it."""
    answers = _ANSWER.findall(completion)
    if not answers:
        return 0.0
    answer = answers[-1].strip()
    if sorted(map(int, re.findall(r"\d+", answer))) != sorted(numbers) or not _ALLOWED.fullmatch(answer):
        return 0.1
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            value = eval(answer, {"__builtins__": None}, {})  # noqa: S307 - the rule under comparison is an eval
        return 1.0 if abs(value - target) < 1e-5 else 0.1
    except Exception:  # whatever goes wrong is a wrong answer there, a TypeError or a MemoryError too
        return 0.1
