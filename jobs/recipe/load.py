"""Loads a recipe: from TOML to checked stages and cells (docs/recipes.md)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jobs.recipe.claims import check_compare_table
from jobs.recipe.labels import Label
from jobs.recipe.matrix import expand_matrix
from jobs.recipe.source import TOP_KEYS, RecipeProblems, RecipeSource, read_source, suggest
from jobs.recipe.stages import RecipeStage, StageReader, read_resources, sort_by_needs

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe with a valid structure. Planning checks the stage configs, cell by cell."""

    path: Path
    name: str
    cells: tuple[dict[str, Label], ...]
    """The matrix values of each cell; one empty cell without matrix and seeds."""
    stages: dict[str, RecipeStage]
    """By name, each after its inputs."""
    source: RecipeSource

    @property
    def text(self) -> str:
        """Text of the recipe as read, without the `--set` arguments."""
        return self.source.text


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: the TOML file.
        overrides: `--set` arguments, e.g. `stages.ppo.steps=50`.

    Raises:
        NotFound: no such file.
        InvalidInput: names file and line of every problem, and the nearest valid key.
    """
    source = read_source(path, overrides)
    problems = RecipeProblems(source)
    data = source.data
    for key in data:
        if key not in TOP_KEYS:
            problems.add((key,), f"unknown key {key!r}", suggest(key, TOP_KEYS, "Keys"))
    name = _name(data, problems)
    reduced = source.overridden("matrix") or source.overridden("seeds")
    dimensions, cells = expand_matrix(data, problems, strict=not reduced)
    problems.raise_if_any()
    # A `skip` may name values that a `--set` removed from the matrix.
    written = expand_matrix(source.written, RecipeProblems(source))[0] if reduced else dimensions
    check_compare_table(data, written, problems)
    tables = data.get("stages")
    if not isinstance(tables, dict) or not tables:
        problems.add(("stages",), "the recipe has no stages", "Add a table such as [stages.problems].")
        tables = {}
    resources = read_resources(data.get("resources", {}), tables, path.parent, problems)
    stages = StageReader(tables, resources, dimensions, written, problems).read()
    problems.raise_if_any()
    ordered = sort_by_needs(stages, problems)
    problems.raise_if_any()
    return Recipe(path, name, tuple(cells), ordered, source)


def _name(data: Mapping[str, Any], problems: RecipeProblems) -> str:
    name = data.get("name")
    if name is None:
        problems.add(("name",), "the recipe has no name", 'Begin it with name = "my-experiment".')
    elif not isinstance(name, str) or not _NAME.fullmatch(name):
        problems.add(("name",), f"{name!r} is not a valid name", "Use lower-case letters, digits, dots, - and _.")
    return str(name)
