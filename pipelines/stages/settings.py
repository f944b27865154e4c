"""Settings: the fields of a stage config that change no result, so that each attempt may have its own.

`stage.json` keeps the values that the stage was planned with. An attempt records its own in its `job.json`, by dotted
path (`engine.vllm.gpu_memory`), and the stage process gets them in `SETTINGS_VARIABLE`.
"""

import copy
import json
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from pipelines.errors import InvalidInput
from pipelines.folder import ATTEMPT_VARIABLE
from pipelines.stages.configs import key_rule, model_members

SETTINGS_VARIABLE: Final = "COGTUI_SETTINGS"
"""Names in the environment of a stage process the settings of its attempt: a JSON object by dotted path."""

FieldPath = tuple[str, ...]


@cache
def setting_paths(model: type[BaseModel]) -> tuple[FieldPath, ...]:
    """Return the paths of the fields of a config that change no result, also in nested tables."""
    return tuple(dict.fromkeys(_paths(model, (False, "as_written"))))


@cache
def written_paths(model: type[BaseModel]) -> tuple[FieldPath, ...]:
    """Return the paths of those settings whose value in the recipe's file is part of the key."""
    return tuple(dict.fromkeys(_paths(model, ("as_written",))))


def _paths(model: type[BaseModel], rules: tuple[Any, ...]) -> Iterator[FieldPath]:
    for name, field in model.model_fields.items():
        rule = key_rule(field)
        if rule in rules and rule is not None:
            yield (name,)
        elif rule is not False:
            for inner in model_members(field):
                yield from ((name, *path) for path in _paths(inner, rules))


def default_at(model: type[BaseModel], path: FieldPath) -> Any:
    """Return the default of a setting, as JSON has it."""
    field = model.model_fields[path[0]]
    if len(path) == 1:
        return field.get_default(call_default_factory=True, validated_data={})
    return next(default_at(inner, path[1:]) for inner in model_members(field) if path[1] in inner.model_fields)


def settings_of(model: type[BaseModel], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings in a config by dotted path."""
    found: dict[str, Any] = {}
    for path in setting_paths(model):
        table: Any = config
        for part in path[:-1]:
            table = table.get(part) if isinstance(table, Mapping) else None
        if isinstance(table, Mapping) and path[-1] in table:
            found[".".join(path)] = table[path[-1]]
    return found


def known_settings(model: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a config has: an attempt of another version may have had others."""
    known = {".".join(path) for path in setting_paths(model)}
    return {name: value for name, value in settings.items() if name in known}


def with_settings(model: type[BaseModel], config: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with some settings replaced, not validated.

    Raises:
        InvalidInput: a field is no setting: with another value it would be another stage.
    """
    known = {".".join(path): path for path in setting_paths(model)}
    changed = copy.deepcopy(dict(config))
    for name, value in settings.items():
        if name not in known:
            raise InvalidInput(
                f"{name} cannot be changed for an attempt: with another value it is another stage",
                remedy=f"Change the recipe. Settings of this stage: {', '.join(sorted(known)) or 'none'}.",
            )
        table = changed
        for part in known[name][:-1]:
            inner = table.get(part)
            table[part] = inner if isinstance(inner, dict) else {}
            table = table[part]
        table[known[name][-1]] = value
    return changed


def attempt_settings() -> dict[str, Any]:
    """Return the settings of the attempt that this process runs; empty for a stage that runs alone.

    Raises:
        InvalidInput: the variable is not a JSON object.
    """
    given = os.environ.get(SETTINGS_VARIABLE)
    if not given:
        return {}
    try:
        settings = json.loads(given)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise InvalidInput(f"{SETTINGS_VARIABLE} is not a JSON object", remedy="Unset it.")
    return settings


def retry_with(**settings: Any) -> str:
    """Return a remedy that continues this stage with other settings: the command, where it runs as a job."""
    attempt = os.environ.get(ATTEMPT_VARIABLE)
    if not attempt:
        wanted = " and ".join(f"{name} = {toml_value(value)}" for name, value in settings.items())
        return f"set {wanted} and run it again"
    key = next((path.parent.name for path in Path(attempt).parents if path.name == "attempts"), "KEY")
    return " ".join(("cogtui retry", key, *(f"--set {name}={toml_value(value)}" for name, value in settings.items())))


def toml_value(value: Any) -> str:
    """Return a number, truth value or text as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
