"""Expands `seeds` and `[matrix]` into the cells of an experiment."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jobs.recipe.labels import Label, label_text
from jobs.recipe.source import RecipeProblems, suggest
from jobs.recipe.toml_lines import KeyPath

SEED: Final = "seed"
_RESERVED: Final = ("include", "exclude")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")

Labels = dict[str, Label]


def expand_matrix(
    data: Mapping[str, Any], problems: RecipeProblems, *, strict: bool = True
) -> tuple[dict[str, list[Label]], list[Labels]]:
    """Return the dimensions of a recipe and its cells.

    Cells are the product of all dimensions in the order written, seeds last and so varying fastest, without those that
    `exclude` matches, plus those that `include` lists. An `exclude` entry names any of the dimensions; an `include`
    entry names all of them, and applies to every seed if it names none.

    Args:
        data: the whole recipe.
        problems: receives the problems; the result is then unusable.
        strict: whether an `exclude` that matches nothing is an error; False after a `--set` of the matrix.

    Returns:
        Values by dimension, including those of `include`; and the cells, without duplicates.
    """
    dimensions = _dimensions(data, problems)
    if problems:
        return dimensions, []
    matrix = data.get("matrix", {})
    cells: list[Labels] = [
        dict(zip(dimensions, values, strict=True)) for values in itertools.product(*dimensions.values())
    ]
    for index, entry in _entries(matrix, "exclude", dimensions, problems):
        kept = [cell for cell in cells if not _matches(cell, entry)]
        if strict and len(kept) == len(cells):
            problems.add(("matrix", "exclude", index), f"this excludes no cell: {label_text(entry)}")
        cells = kept
    seeds = list(dimensions.get(SEED, ()))
    for index, entry in _entries(matrix, "include", dimensions, problems):
        for cell in _included(entry, dimensions, seeds, problems, ("matrix", "include", index)):
            if any(_same(cell, other) for other in cells):
                problems.add(("matrix", "include", index), f"this cell exists already: {label_text(cell)}")
            cells.append(cell)
            for name, value in cell.items():
                if not any(is_same_label(value, known) for known in dimensions[name]):
                    dimensions[name].append(value)
    if not cells and not problems:
        problems.add(("matrix", "exclude"), "the matrix is empty: every cell is excluded")
    return dimensions, cells


def _dimensions(data: Mapping[str, Any], problems: RecipeProblems) -> dict[str, list[Label]]:
    found: dict[str, list[Label]] = {}
    matrix = data.get("matrix", {})
    if not isinstance(matrix, dict):
        problems.add(("matrix",), "matrix is a table of lists", 'Write it as [matrix] and condition = ["none"].')
        return {}
    for name, values in matrix.items():
        if name in _RESERVED:
            continue
        if not _NAME.fullmatch(name):
            problems.add(("matrix", name), f"{name!r} is not a valid dimension", "Use a-z, 0-9 and _.")
        elif name == SEED:
            problems.add(("matrix", name), "the seeds have their own list", "Write seeds = [...] above the tables.")
        else:
            found[name] = _values(("matrix", name), values, problems)
    if "seeds" in data:
        seeds = _values(("seeds",), data["seeds"], problems)
        for index, seed in enumerate(seeds):
            if type(seed) is not int:
                problems.add(("seeds", index), f"a seed is a whole number, not {seed!r}")
        found[SEED] = seeds
    return found


def _values(path: KeyPath, values: Any, problems: RecipeProblems) -> list[Label]:
    name = ".".join(map(str, path))
    if not isinstance(values, list) or not values:
        problems.add(path, f"{name} is a list with at least one value, not {values!r}")
        return []
    seen: set[tuple[type, Label]] = set()
    for index, value in enumerate(values):
        if not isinstance(value, bool | int | float | str):
            problems.add((*path, index), f"{name} has a value that is neither text, number nor true/false")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.add((*path, index), f"{name} has {value}, which is not a finite number")
        elif (type(value), value) in seen:
            problems.add((*path, index), f"{name} has {value!r} twice", "Remove one of the two.")
        else:
            seen.add((type(value), value))
    return list(values)


def _entries(
    matrix: Mapping[str, Any], which: str, dimensions: Mapping[str, list[Label]], problems: RecipeProblems
) -> Iterator[tuple[int, Labels]]:
    entries = matrix.get(which, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.add(("matrix", which), f"{which} is a list of tables", f'Write {which} = [{{ condition = "none" }}].')
        return
    for index, entry in enumerate(entries):
        path: KeyPath = ("matrix", which, index)
        unknown = [name for name in entry if name not in dimensions]
        for name in unknown:
            problems.add((*path, name), f"the matrix has no {name!r}", suggest(name, dimensions, "Dimensions"))
        wrong = [name for name, value in entry.items() if not isinstance(value, bool | int | float | str)]
        for name in wrong:
            problems.add((*path, name), f"{name} takes one value here, not {entry[name]!r}")
        if not entry:
            problems.add(path, f"this entry of {which} is empty")
        elif not unknown and not wrong:
            yield index, entry


def _included(
    entry: Labels, dimensions: Mapping[str, list[Label]], seeds: list[Label], problems: RecipeProblems, path: KeyPath
) -> list[Labels]:
    missing = [name for name in dimensions if name not in entry and name != SEED]
    if missing:
        problems.add(path, f"an included cell names every dimension; here {', '.join(missing)} is missing")
        return []
    if SEED not in dimensions or SEED in entry:
        return [{name: entry[name] for name in dimensions}]
    return [{name: {**entry, SEED: seed}[name] for name in dimensions} for seed in seeds]


def _matches(cell: Labels, entry: Labels) -> bool:
    return all(is_same_label(cell[name], value) for name, value in entry.items())


def _same(one: Labels, other: Labels) -> bool:
    return all(is_same_label(value, other[name]) for name, value in one.items())


def is_same_label(one: object, other: object) -> bool:
    """Whether two matrix values are equal and of one type: 1, 1.0 and true are three values."""
    return type(one) is type(other) and one == other
