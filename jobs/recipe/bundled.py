"""Recipes that come with cogtui: `jobs/recipes` of an installed package, `examples` of a checkout.

Two comment lines at the top of a recipe describe it: `# shows: …` and `# takes: …`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jobs
from jobs.recipe.source import suggest
from pipelines.errors import NotFound

_PACKAGE: Final = Path(jobs.__file__).parent
_FOLDERS: Final = (_PACKAGE / "recipes", _PACKAGE.parent / "examples")
_HEADER: Final = re.compile(r"#[ \t]*(shows|takes):[ \t]*(.*)")


@dataclass(frozen=True, slots=True)
class RecipeSummary:
    """One recipe in a list."""

    name: str
    path: Path
    shows: str
    """The question it answers; empty if its comments name none."""
    takes: str
    """Measured duration, e.g. `90 s on two cores`; empty if unknown."""
    gpus: int
    """The most GPUs that one stage asks for."""


def bundled_recipes() -> list[RecipeSummary]:
    """Return the bundled recipes: the fastest first, those of unknown duration next, those with GPUs last."""
    folder = next((each for each in _FOLDERS if any(each.glob("*.toml"))), None)
    found = [summarise_recipe(path) for path in folder.glob("*.toml")] if folder else []
    return sorted(found, key=lambda recipe: (recipe.gpus > 0, _seconds(recipe.takes), recipe.name))


def summarise_recipe(path: Path) -> RecipeSummary:
    """Read what a recipe's comments say about it. A file that is not valid TOML has no GPUs."""
    text = path.read_text("utf-8", errors="replace")
    said: dict[str, str] = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        if match := _HEADER.match(line):
            said.setdefault(match[1], match[2].strip())
    return RecipeSummary(path.stem, path, said.get("shows", ""), said.get("takes", ""), _most_gpus(text))


def find_recipe(given: Path) -> Path:
    """Return the file that a command names: a path, or the name of a bundled recipe. A file has precedence.

    Raises:
        NotFound: neither a file nor a bundled recipe; names the nearest.
    """
    if given.is_file() or given.suffix == ".toml" or len(given.parts) != 1:
        return given  # reading it reports a missing file
    recipes = {recipe.name: recipe for recipe in bundled_recipes()}
    if given.name in recipes:
        return recipes[given.name].path
    raise NotFound(
        f"there is no file and no bundled recipe {str(given)!r}",
        remedy=f"{suggest(given.name, recipes, 'Bundled recipes')} cogtui recipes lists them.",
    )


def _seconds(takes: str) -> float:
    match = re.match(r"(\d+) (s|min|h)\b", takes)
    return float("inf") if match is None else int(match[1]) * {"s": 1, "min": 60, "h": 3600}[match[2]]


def _most_gpus(text: str) -> int:
    try:
        resources: Any = tomllib.loads(text).get("resources", {})
    except tomllib.TOMLDecodeError:
        return 0
    tables = resources.values() if isinstance(resources, Mapping) else ()
    counts = [table.get("gpus", 0) for table in tables if isinstance(table, Mapping)]
    return max((count for count in counts if isinstance(count, int)), default=0)
