"""Translates pydantic's validation errors into problems with the recipe's lines and keys."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from jobs.recipe.source import RecipeProblems, suggest
from jobs.recipe.toml_lines import KeyPath


def add_validation_problems(
    error: ValidationError,
    model: type[BaseModel],
    table: Mapping[str, Any],
    path: KeyPath,
    problems: RecipeProblems,
    note: Callable[[KeyPath], str] = lambda path: "",
) -> None:
    """Add each validation error of a config at the line of its value.

    Args:
        error: what `model.model_validate(table)` raised.
        model: the config model.
        table: the validated table.
        path: of the table in the recipe.
        problems: receives the errors.
        note: returns an addition to the message about the value at a path in the table, e.g. its cell.
    """
    for item in error.errors(include_url=False):
        inner = _in_table(item["loc"], table)
        name = ".".join(map(str, inner))
        place = (*path, *inner)
        last = str(item["loc"][-1]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            fields = [field for owner in _models_at(model, inner[:-1]) for field in owner.model_fields]
            problems.add(place, f"unknown key {last!r} in [{_dotted(place[:-1])}]", suggest(last, fields, "Keys"))
        elif item["type"] == "missing":
            problems.add(place, f"[{_dotted(place)}] needs the key {last!r}", f"Add {last} = … there.")
        else:
            problems.add(place, f"{_dotted(place) if name else f'[{_dotted(place)}]'}: {_message(item)}{note(inner)}")


def _message(item: Mapping[str, Any]) -> str:
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if item["type"] in ("value_error", "assertion_error"):
        return text
    given = repr(item["input"])
    shown = given if len(given) <= 60 else f"{given[:57]}…"
    return f"{text[:1].lower()}{text[1:]}, not {shown}"


def _dotted(path: KeyPath) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _in_table(location: tuple[int | str, ...], table: Any) -> KeyPath:
    """Return the part of pydantic's location that is a path in the table, without union members and validators."""
    path: list[int | str] = []
    here = table
    for part in location:
        keys = here if isinstance(here, Mapping) else range(len(here)) if isinstance(here, list) else ()
        if part in keys:
            here = here[part]
            path.append(part)
    return tuple(path)


def _models_at(model: type[BaseModel], path: KeyPath) -> list[type[BaseModel]]:
    """Return the models that a table at `path` inside a table of `model` may be."""
    here = [model]
    for part in path:
        if isinstance(part, int):
            continue  # a list element has one of the models in the list's annotation
        annotations = [owner.model_fields[part].annotation for owner in here if part in owner.model_fields]
        here = [found for annotation in annotations for found in _models_in(annotation)]
    return here


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
