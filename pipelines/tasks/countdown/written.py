"""Formats expressions with minimal parentheses."""

from typing import Final, NamedTuple

_STRENGTH: Final = {"+": 1, "-": 1, "*": 2, "/": 2}


class Written(NamedTuple):
    """An expression as text, with the precedence of its outermost operation."""

    text: str
    strength: int


def number(value: int) -> Written:
    """Format a given number."""
    return Written(str(value), 3)


def join(operation: str, left: Written, right: Written, *, regroup: bool) -> Written:
    """Format `left operation right`.

    Args:
        operation: one of `+ - * /`.
        left: the first operand.
        right: the second operand.
        regroup: whether `a + (b - c)` may be written `a + b - c`. The value is the same, the results on the
            way to it are not, and bounds may admit only the first.
    """
    strength = _STRENGTH[operation]
    first = left.text if left.strength >= strength else f"({left.text})"
    bare = right.strength > strength or (regroup and right.strength == strength and operation in "+*")
    second = right.text if bare else f"({right.text})"
    return Written(f"{first} {operation} {second}", strength)
