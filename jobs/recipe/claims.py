"""The `[compare]` table of a recipe: the reference cell, and claims written down before the recipe is run."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jobs.recipe.labels import Label
from jobs.recipe.matrix import SEED
from jobs.recipe.source import RecipeProblems, suggest

Moment = Literal["start", "end", "gain"]
"""At step 0, after the last step, or the second less the first."""


class RecipeClaim(BaseModel):
    """A claim that one cell lies above another."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    text: str = Field(min_length=1)
    """What is claimed, as `cogtui compare` prints it."""
    above: dict[str, Label]
    """Matrix values of the cells that are claimed to lie above; every dimension that is left out is compared value by
    value.
    """
    below: dict[str, Label]
    measure: str = "accuracy"
    """A measure of the evaluation, e.g. `accuracy` or `backtracking`."""
    when: Moment = "end"
    margin: float = Field(default=0.0, ge=0)
    """Added to the side claimed to lie above: 0.1 claims that it is less than 0.1 below the other side."""


class CompareTable(BaseModel):
    """The `[compare]` table."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    reference: dict[str, Label] = Field(default_factory=dict)
    """Value of each dimension that the others are compared with; the first of the matrix by default."""
    claims: tuple[RecipeClaim, ...] = ()


def check_compare_table(
    data: Mapping[str, Any], dimensions: Mapping[str, Sequence[Label]], problems: RecipeProblems
) -> None:
    """Add the problems of the `[compare]` table: unknown keys, dimensions and values.

    Args:
        data: the recipe.
        dimensions: values of each dimension, as written in the recipe.
        problems: receives the problems.
    """
    if "compare" not in data:
        return
    try:
        table = CompareTable.model_validate(data["compare"])
    except ValidationError as error:
        for one in error.errors():
            problems.add(("compare", *one["loc"]), f"{'.'.join(map(str, one['loc']))}: {one['msg']}")
        return
    cells = [("reference", table.reference)]
    cells += [(side, labels) for one in table.claims for side, labels in (("above", one.above), ("below", one.below))]
    known = {name: values for name, values in dimensions.items() if name != SEED}
    for where, labels in cells:
        for name, value in labels.items():
            if name not in known:
                problems.add(("compare",), f"{where}: no dimension {name!r}", suggest(name, known, "Dimensions"))
            elif value not in known[name]:
                values = list(map(str, known[name]))
                problems.add(
                    ("compare",), f"{where}: {name} has no value {value!r}", suggest(str(value), values, "Values")
                )


def read_compare_table(recipe: str) -> CompareTable:
    """Return the `[compare]` table from the text of a recipe; an empty one where there is none or it is not valid.

    Snapshots of experiments hold recipes of other versions, whose tables may have other keys.
    """
    try:
        return CompareTable.model_validate(tomllib.loads(recipe).get("compare", {}))
    except (tomllib.TOMLDecodeError, ValidationError):
        return CompareTable()
