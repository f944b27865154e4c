"""Draws distinct solvable problems: each is built from a random expression and checked by the solver.

A small space of problems is listed whole and shuffled, so every problem in it is as likely as any other and
"too few" is a fact. From a large one, random numbers are joined by random operations and the result is the target.
"""

import math
import random
from collections.abc import Iterable, Iterator
from itertools import combinations, combinations_with_replacement, islice
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipelines.errors import InvalidInput
from pipelines.stages import ConfigModel
from pipelines.tasks.countdown.problem import MAX_NUMBERS, MIN_NUMBERS, Problem, ProblemKey, make_problem
from pipelines.tasks.countdown.rules import ANY, Arithmetic
from pipelines.tasks.countdown.solver import reachable, solve

_LISTING_MS: Final = {2: 0.02, 3: 0.15, 4: 3.0, 5: 150.0, 6: 5_000.0}
"""Approximate cost of enumerating all targets of that many numbers, in milliseconds."""
_LIST_FIRST_MS: Final = 500.0
"""A space that is enumerated in less time is never sampled."""
_LIST_AT_LAST_MS: Final = 20_000.0
"""A space that is enumerated in less time is enumerated once sampling finds nothing new."""
_TRIES: Final = 300_000
"""Random expressions in a row without a new problem after which sampling ends."""
_TRIES_BEFORE_LISTING: Final = 20_000
"""The same, if the space can be enumerated then."""

_Range = tuple[int, int]


class ProblemSpace(ConfigModel):
    """The space of problems to draw from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sizes: tuple[Annotated[int, Field(ge=MIN_NUMBERS, le=MAX_NUMBERS)], ...] = Field(
        default=(3, 4),
        min_length=1,
        description="How many numbers a problem has, 2 to 6; of several sizes each is drawn as often as the next.",
    )
    number_range: _Range = Field(default=(1, 100), description="Smallest and largest given number.")
    target_range: _Range = Field(default=(10, 100), description="Smallest and largest target.")
    distinct: bool = Field(default=False, description="Whether the numbers of a problem must all differ.")
    arithmetic: Arithmetic = Field(
        default=ANY, description="Operations a solution may use, and bounds on the result of each of them."
    )

    @field_validator("sizes")
    @classmethod
    def _each_once(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(sizes)) != len(sizes):
            raise ValueError("a size is listed twice")
        return sizes

    @field_validator("number_range", "target_range")
    @classmethod
    def _in_order(cls, bounds: _Range) -> _Range:
        if bounds[0] > bounds[1]:
            raise ValueError(f"the smallest, {bounds[0]}, is above the largest, {bounds[1]}")
        return bounds

    @model_validator(mode="after")
    def _possible(self) -> Self:
        low, high = self.number_range
        if low < 0:
            raise ValueError("number_range: given numbers are not negative")
        if self.distinct and high - low + 1 < max(self.sizes):
            raise ValueError(f"there are no {max(self.sizes)} distinct numbers from {low} to {high}")
        bounds = self.arithmetic
        if bounds.maximum is not None and bounds.maximum < self.target_range[0]:
            raise ValueError(f"no target can be reached: all are above arithmetic.maximum = {bounds.maximum}")
        if bounds.minimum is not None and bounds.minimum > self.target_range[1]:
            raise ValueError(f"no target can be reached: all are below arithmetic.minimum = {bounds.minimum}")
        return self

    def count_multisets(self, size: int) -> int:
        """Return the number of ways to choose the given numbers, regardless of order."""
        choices = self.number_range[1] - self.number_range[0] + 1
        return math.comb(choices, size) if self.distinct else math.comb(choices + size - 1, size)

    def listing_ms(self, size: int) -> float:
        """Estimate the time to enumerate every problem of a size, in milliseconds."""
        return self.count_multisets(size) * _LISTING_MS[size]

    def describe(self) -> str:
        """Return the space in words."""
        bounds = self.arithmetic
        parts = [
            f"{' or '.join(map(str, self.sizes))} {'distinct ' if self.distinct else ''}numbers "
            f"from {self.number_range[0]} to {self.number_range[1]}",
            f"targets {self.target_range[0]} to {self.target_range[1]}",
            f"operations {' '.join(bounds.operations)}",
        ]
        if bounds.minimum is not None:
            parts.append(f"results at least {bounds.minimum}")
        if bounds.maximum is not None:
            parts.append(f"results at most {bounds.maximum}")
        if bounds.integers_only:
            parts.append("whole results only")
        return ", ".join(parts)


def generate(space: ProblemSpace, count: int, *, seed: int = 0, exclude: Iterable[Problem] = ()) -> list[Problem]:
    """Draw `count` different problems; a smaller count gives the first of them.

    Args:
        space: which problems there are.
        count: how many to draw.
        seed: the same space, seed and exclusions give the same problems.
        exclude: problems not to draw, whatever the order of their numbers.

    Raises:
        InvalidInput: there are fewer (or none), or random search finds no more.
    """
    problems = list(islice(draw(space, seed=seed, exclude=exclude), count))
    if len(problems) < count:
        raise too_few(space, len(problems), count)
    return problems


def draw(space: ProblemSpace, *, seed: int = 0, exclude: Iterable[Problem] = ()) -> Iterator[Problem]:
    """Yield distinct solvable problems until no more are found. Arguments as for `generate`."""
    rng = random.Random(seed)
    taken = {problem.key for problem in exclude}
    sources = {size: _source(space, size, rng, taken) for size in space.sizes}
    while sources:
        size = rng.choice(list(sources))
        key = next(sources[size], None)
        if key is None:
            del sources[size]
            continue
        taken.add(key)
        numbers, target = key
        if solve(numbers, target, space.arithmetic) is None:
            raise RuntimeError(f"the generator made {target} from {numbers}, and the solver cannot")
        yield make_problem(rng.sample(numbers, len(numbers)), target)


def too_few(space: ProblemSpace, found: int, asked: int) -> InvalidInput:
    """Return the error for a space with too few problems; it says whether the number found is exact."""
    remedy = "Widen number_range or target_range, allow more operations or sizes, or ask for fewer problems."
    detail = f"The space: {space.describe()}; excluded problems do not count."
    if not all(space.listing_ms(size) <= _LIST_AT_LAST_MS for size in space.sizes):
        detail += f" It is too large to list; {_TRIES:,} random expressions in a row gave nothing new."
        return InvalidInput(f"found {found:,} solvable problems, {asked:,} asked for", detail=detail, remedy=remedy)
    there_are = "there is no solvable problem" if found == 0 else f"there are only {found:,} solvable problems"
    return InvalidInput(f"{there_are} of this kind, {asked:,} asked for", detail=detail, remedy=remedy)


def _source(space: ProblemSpace, size: int, rng: random.Random, taken: set[ProblemKey]) -> Iterator[ProblemKey]:
    cost = space.listing_ms(size)
    if cost > _LIST_FIRST_MS:
        yield from _sampled(space, size, rng, taken, _TRIES if cost > _LIST_AT_LAST_MS else _TRIES_BEFORE_LISTING)
    if cost <= _LIST_AT_LAST_MS:
        listed = [key for key in _listed(space, size) if key not in taken]
        rng.shuffle(listed)
        yield from listed


def _listed(space: ProblemSpace, size: int) -> Iterator[ProblemKey]:
    """Yield every solvable problem of a size."""
    low, high = space.target_range
    choose = combinations if space.distinct else combinations_with_replacement
    for numbers in choose(range(space.number_range[0], space.number_range[1] + 1), size):
        for target in sorted(reachable(numbers, space.arithmetic)):
            if low <= target <= high:
                yield numbers, target


def _sampled(
    space: ProblemSpace, size: int, rng: random.Random, taken: set[ProblemKey], patience: int
) -> Iterator[ProblemKey]:
    """Yield new problems from random expressions, until too many in a row give none."""
    tries = 0
    while tries < patience:
        tries += 1
        key = _random_problem(space, size, rng)
        if key is not None and key not in taken:
            tries = 0
            yield key


def _random_problem(space: ProblemSpace, size: int, rng: random.Random) -> ProblemKey | None:
    """Combine random numbers by random operations; None if a result or the target is out of bounds."""
    low, high = space.number_range
    if space.distinct:
        numbers = rng.sample(range(low, high + 1), size)
    else:
        numbers = [rng.randint(low, high) for _ in range(size)]
    values = [(each, 1) for each in numbers]
    while len(values) > 1:
        left = values.pop(rng.randrange(len(values)))
        right = values.pop(rng.randrange(len(values)))
        value = space.arithmetic.apply(rng.choice(space.arithmetic.operations), left, right)
        if value is None:
            return None
        values.append(value)
    target, denominator = values[0]
    if denominator != 1 or not space.target_range[0] <= target <= space.target_range[1]:
        return None
    return tuple(sorted(numbers)), target
