"""A formula that is written whole before its parts are computed: `(25 - 6) * 3 + 14: 25 - 6 = 19, 19 * 3 = 57, ...`."""

from collections.abc import Sequence
from typing import Final

from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.expressions import compute
from pipelines.behaviors.judges.rules.tokens import Number, key

MOST_OPERATORS: Final = 8
"""Of a formula whose parts are followed; it bounds the search for them."""
_TIMES: Final = frozenset("*/^")
_SIGNS: Final = frozenset("+-*/^")
_BINDS_BEFORE: Final = {"+": frozenset("-*/^"), "-": frozenset("-*/^"), "*": frozenset("/^"), "/": frozenset("/^")}
"""For an operator, those that must not stand before its left operand."""
_OPERATION: Final = 3


class WholeFormula:
    """What is still to be computed of a formula: its signs and numbers, parts replaced by their results."""

    __slots__ = ("tokens",)

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens = tuple(tokens)

    @classmethod
    def of(cls, computation: Computation) -> "WholeFormula | None":
        """Return the formula of a computation whose parts may follow.

        Without a result any formula of several operators qualifies. With one, only a formula that takes products or
        brackets, since sums that follow each other are usually attempts.
        """
        operators = computation.main.operators
        if not 1 < operators <= MOST_OPERATORS or computation.main.holes or computation.on_last:
            return None
        tokens = computation.form.split()
        mixed = "(" in tokens or len({sign in _TIMES for sign in tokens if sign in _SIGNS}) > 1
        return cls(tokens) if mixed or not computation.claimed else None

    def without(self, computation: Computation) -> "WholeFormula | None":
        """Return the rest after a part is computed; None if the computation is no part of the formula.

        A number that is not in the rest may be the value of one of its operations: in `16 * 7 - 12` the part
        `112 - 12` leaves out the first step.
        """
        result = computation.result_key
        if result is None or computation.main.holes or not 0 < computation.main.operators < MOST_OPERATORS:
            return None
        part = computation.form.split()
        tokens = self.tokens
        for value in computation.keys:
            if str(value) not in tokens and (taken := _take_operation(tokens, value)) is not None:
                tokens = taken
        for spelling in _spellings(part):
            place = _find(tokens, spelling)
            if place >= 0:
                return WholeFormula(_replace(tokens, place, len(spelling), result))
        return None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compute."""
        return not any(sign in _SIGNS for sign in self.tokens)


def contains(form: str, part: str) -> bool:
    """Return whether a form has another as an operand: `60 - 62 + 12` does not contain `62 + 12`."""
    return part in form and _find(form.split(), part.split()) >= 0


def _spellings(part: list[str]) -> list[list[str]]:
    swaps = len(part) == _OPERATION and part[1] in "+*"
    return [part, part[::-1]] if swaps else [part]


def _find(tokens: Sequence[str], part: Sequence[str]) -> int:
    """Return the index at which a part stands as an operand of its own; -1 if it does not."""
    size = len(part)
    signs = [sign for sign in part if sign in _SIGNS]
    if not signs:
        return -1
    weakest = next((sign for sign in signs if sign not in _TIMES), signs[0])
    for place in range(len(tokens) - size + 1):
        if list(tokens[place : place + size]) != list(part):
            continue
        before = tokens[place - 1] if place else ""
        behind = tokens[place + size] if place + size < len(tokens) else ""
        if before not in _BINDS_BEFORE.get(weakest, _SIGNS) and (weakest in _TIMES or behind not in _TIMES):
            return place
    return -1


def _replace(tokens: Sequence[str], place: int, size: int, result: Number) -> list[str]:
    """Put a result in place of a part, without the brackets around it."""
    end = place + size
    while place and end < len(tokens) and tokens[place - 1] == "(" and tokens[end] == ")":
        place, end = place - 1, end + 1
    return [*tokens[:place], str(result), *tokens[end:]]


def _take_operation(tokens: Sequence[str], value: Number) -> tuple[str, ...] | None:
    """Return the tokens with an operation of that value computed; None if there is none."""
    for place in range(len(tokens) - _OPERATION + 1):
        operation = tokens[place : place + _OPERATION]
        if operation[1] not in _SIGNS or _find(tokens, operation) < 0:
            continue
        numbers = [_number(operation[0]), _number(operation[2])]
        if numbers[0] is None or numbers[1] is None:
            continue
        result = compute(numbers[0], operation[1], numbers[1])
        if result is not None and key(result) == value:
            return tuple(_replace(tokens, place, _OPERATION, result))
    return None


def _number(token: str) -> Number | None:
    try:
        return int(token)
    except ValueError:
        pass
    try:
        return float(token)
    except ValueError:
        return None
