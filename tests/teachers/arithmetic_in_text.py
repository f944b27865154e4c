"""Reads the equations of a trace back from its text, independently of how the teacher wrote them."""

import re
from collections.abc import Iterator
from fractions import Fraction

from pipelines.tasks.countdown.expression import evaluate

_ASCII = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-"})
_RUN = re.compile(r"[0-9+\-*/() ]+(?:=[0-9+\-*/() ]+)+")
_WORDED = re.compile(r"(-?\d+) (plus|minus|times|divided by) (-?\d+) (?:is|makes|gives|equals) (-?\d+)")
_WORDS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
_BULLET = re.compile(r"(?m)^(?:[-*•] |\d+\. )")


def plain_ascii(text: str) -> str:
    """The text with ASCII operators, without bullets, bold marks and unequal signs; not of the same length."""
    text = text.translate(_ASCII).replace("**", "").replace("!=", "≠")
    return _BULLET.sub("", text)


def equations(text: str) -> Iterator[list[Fraction]]:
    """The values on both (or all) sides of each equation in the text."""
    ascii_text = plain_ascii(text)
    for match in _RUN.finditer(ascii_text):
        run = match[0].strip()
        if run.endswith("("):
            run = run[:-1]
        yield [evaluate(side) for side in run.split("=")]
    for match in _WORDED.finditer(ascii_text):
        yield [evaluate(f"{match[1]} {_WORDS[match[2]]} ({match[3]})"), Fraction(int(match[4]))]


def last_result(text: str) -> int:
    """The result that stands last in a text."""
    ascii_text = plain_ascii(text)
    found = [(m.end(), m[1]) for m in re.finditer(r"= ?(-?\d+)(?!\d*[ ]*[-+*/])", ascii_text)]
    found += [(m.end(), m[4]) for m in _WORDED.finditer(ascii_text)]
    return int(max(found)[1])
