"""The text of a recipe with `--set` applied, and problems with file, line and the nearest valid key."""

import copy
import difflib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, Final

from jobs.recipe.toml_lines import KeyPath, key_lines, read_toml
from pipelines.errors import InvalidInput

_ASSIGNMENT: Final = re.compile(r"\s*([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\s*=(.*)", re.DOTALL)
TOP_KEYS: Final = ("name", "seeds", "matrix", "stages", "resources", "compare")
"""Keys at the top of a recipe."""


def nearest_word(word: str, valid: Iterable[str]) -> str | None:
    """Return the valid word most similar to a wrong one, or None if none is close."""
    found = difflib.get_close_matches(word, list(valid), n=1)
    return found[0] if found else None


def suggest(word: str, valid: Iterable[str], what: str) -> str:
    """Return `Did you mean X?`, or the list of valid words."""
    names = list(valid)
    close = nearest_word(word, names)
    if close is not None:
        return f"Did you mean {close}?"
    return f"{what}: {', '.join(names)}." if names else f"There are no {what.lower()} here."


@dataclass(slots=True)
class RecipeSource:
    """The values of a recipe, with the line of each."""

    path: FilePath
    text: str
    written: dict[str, Any]
    """As in the file."""
    data: dict[str, Any]
    """With the `--set` arguments applied."""
    overrides: tuple[str, ...]
    _lines: dict[KeyPath, int]
    _set: dict[KeyPath, str] = field(default_factory=dict)

    def where(self, path: KeyPath) -> str:
        """Return `recipe.toml:12`, or the `--set` argument that gave a value; of the enclosing value if it has none."""
        prefixes = [path[:length] for length in range(len(path), 0, -1)]
        for prefix in prefixes:  # a value replaced by `--set` has no line, nor has anything inside it
            if prefix in self._set:
                return f"--set {self._set[prefix]}"
        line = next((self._lines[prefix] for prefix in prefixes if prefix in self._lines), 1)
        return f"{self.path}:{line}"

    def written_stage(self, name: str) -> dict[str, Any]:
        """Return the table of a stage as in the file; empty where the file has none."""
        stages = self.written.get("stages")
        table = stages.get(name) if isinstance(stages, dict) else None
        return table if isinstance(table, dict) else {}

    def overridden(self, *path: str) -> bool:
        """Whether a `--set` changes this value or a part of it."""
        return any(given[: len(path)] == path for given in self._set)


def read_source(path: FilePath, overrides: Sequence[str] = ()) -> RecipeSource:
    """Read a recipe and apply `--set` arguments to it.

    Raises:
        NotFound: no such file. InvalidInput: not TOML, or an argument that cannot be applied.
    """
    text, written = read_toml(path)
    source = RecipeSource(path, text, written, copy.deepcopy(written), tuple(overrides), key_lines(text))
    for override in overrides:
        _apply(source, override)
    return source


def parse_assignment(text: str, example: str) -> tuple[str, Any]:
    """Return dotted path and value of a `--set` argument.

    Raises:
        InvalidInput: it is not of the form PATH=VALUE; names the example.
    """
    match = _ASSIGNMENT.fullmatch(text)
    if match is None:
        raise InvalidInput(f"--set {text}: not of the form PATH=VALUE", remedy=f"Write it as --set {example}.")
    return match[1], _parsed(match[2].strip())


def _apply(source: RecipeSource, override: str) -> None:
    name, value = parse_assignment(override, "stages.ppo.steps=50")
    path = tuple(name.split("."))
    if path[0] not in TOP_KEYS:
        raise InvalidInput(
            f"--set {override}: a recipe has no key {path[0]!r}", remedy=suggest(path[0], TOP_KEYS, "Keys")
        )
    stages = source.data.get("stages")
    if path[0] == "stages" and isinstance(stages, dict) and (len(path) < 3 or path[1] not in stages):
        name = path[1] if len(path) > 1 else ""
        raise InvalidInput(
            f"--set {override}: the recipe has no stage {name!r} to set a key of",
            remedy=suggest(name, stages, "Stages"),
        )
    table = source.data
    for depth, part in enumerate(path[:-1]):
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidInput(
                f"--set {override}: {'.'.join(path[: depth + 1])} is a value, not a table",
                remedy="Set the whole value instead.",
            )
        table = inner
    table[path[-1]] = value
    source._set[path] = override


def _parsed(value: str) -> Any:
    """Parse a TOML value; other text is taken as a string, so that no shell needs two layers of quotes."""
    try:
        parsed = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        return value
    return parsed["value"] if len(parsed) == 1 else value


@dataclass(frozen=True, slots=True)
class RecipeProblem:
    """One problem of a recipe."""

    where: str
    message: str
    hint: str = ""


class RecipeProblems:
    """Collects problems, so that one run reports them all; a problem in several cells counts once."""

    def __init__(self, source: RecipeSource) -> None:
        self._source = source
        self._found: dict[RecipeProblem, None] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, path: KeyPath, message: str, hint: str = "") -> None:
        """Add a problem with the value at `path`."""
        self._found[RecipeProblem(self._source.where(path), message, hint)] = None

    def raise_if_any(self) -> None:
        """Raise InvalidInput if there are problems: the first as its summary, the others as its detail."""
        if not self._found:
            return
        first, *others = self._found
        lines = [f"{other.where}: {other.message}" + (f" ({other.hint})" if other.hint else "") for other in others]
        raise InvalidInput(f"{first.where}: {first.message}", detail="\n".join(lines), remedy=first.hint)
