"""The arithmetic that a Countdown problem allows, shared by generator, solver and teachers."""

import math
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from pipelines.stages import ConfigModel

Operation = Literal["+", "-", "*", "/"]
OPERATIONS: Final[tuple[Operation, ...]] = ("+", "-", "*", "/")

Rational = tuple[int, int]
"""An exact number as (numerator, denominator), in lowest terms, denominator positive.

Pairs, because hashing and adding `Fraction` costs ten times as much and the solver does little else.
"""


def _canonical_operations(text: str) -> str:
    if not text or any(sign not in OPERATIONS for sign in text) or len(set(text)) != len(text):
        raise ValueError("operations are one or more of + - * /, each once, e.g. '+-*'")
    return "".join(sign for sign in OPERATIONS if sign in text)


class Arithmetic(ConfigModel):
    """Operations allowed, and bounds on the result of every one of them (the last included).

    Given numbers are not results: they may lie outside the bounds. The default allows all of rational arithmetic.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operations: Annotated[str, AfterValidator(_canonical_operations)] = Field(
        default="+-*/", description="Operations allowed, as signs: some of `+-*/`."
    )
    minimum: int | None = Field(default=None, description="Smallest result an operation may have; none if unset.")
    maximum: int | None = Field(default=None, description="Largest result an operation may have; none if unset.")
    integers_only: bool = Field(default=False, description="Whether every operation must have a whole result.")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        return self

    @property
    def bounded(self) -> bool:
        """Whether results have a lower or an upper bound."""
        return self.minimum is not None or self.maximum is not None

    def admits(self, value: Rational) -> bool:
        """Return whether an operation may have this result."""
        numerator, denominator = value
        if self.integers_only and denominator != 1:
            return False
        if self.minimum is not None and numerator < self.minimum * denominator:
            return False
        return self.maximum is None or numerator <= self.maximum * denominator

    def apply(self, operation: str, left: Rational, right: Rational) -> Rational | None:
        """Return the result of an operation, or None where it is not allowed here or divides by zero."""
        if operation not in self.operations:
            return None
        value = combine(operation, left, right)
        return value if value is not None and self.admits(value) else None


ANY: Final = Arithmetic()
"""All four operations on rational numbers, without bounds: the arithmetic of the published task."""


def combine(operation: str, left: Rational, right: Rational) -> Rational | None:
    """Return `left operation right` in lowest terms; None for a division by zero."""
    (a, b), (c, d) = left, right
    if b == d == 1 and operation != "/":
        return (a + c if operation == "+" else a - c if operation == "-" else a * c), 1
    if operation == "*":
        numerator, denominator = a * c, b * d
    elif operation == "/":
        if c == 0:
            return None
        numerator, denominator = (a * d, b * c) if c > 0 else (-a * d, -b * c)
    else:
        numerator, denominator = (a * d + c * b if operation == "+" else a * d - c * b), b * d
    if denominator == 1:
        return numerator, 1
    common = math.gcd(numerator, denominator)
    return numerator // common, denominator // common
