"""`{condition}` and `{seed}` in the strings of a recipe."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from jobs.recipe.labels import Label
from jobs.recipe.toml_lines import KeyPath

# `{{name}}` stands for a literal `{name}`; any other brace is an ordinary character, as templates and JSON need.
_PLACEHOLDER: Final = re.compile(r"\{\{([a-z_][a-z0-9_]*)\}\}|\{([a-z_][a-z0-9_]*)\}")


def placeholders(value: Any) -> dict[str, KeyPath]:
    """Return every placeholder in a value, with the key path of its first use within the value."""
    found: dict[str, KeyPath] = {}

    def note(text: str, path: KeyPath) -> Any:
        for match in _PLACEHOLDER.finditer(text):
            if match[2]:
                found.setdefault(match[2], path)
        return text

    _map_strings(value, note, ())
    return found


def interpolate(value: Any, labels: Mapping[str, Label]) -> Any:
    """Return the value with every placeholder filled in, at any depth; keys of tables are unchanged.

    A string that is only a placeholder becomes the matrix value with its type; elsewhere the value is formatted as in
    TOML.

    Raises:
        KeyError: a placeholder has no value.
    """

    def fill(text: str, path: KeyPath) -> Any:
        whole = _PLACEHOLDER.fullmatch(text)
        if whole and whole[2]:
            return labels[whole[2]]
        return _PLACEHOLDER.sub(lambda match: f"{{{match[1]}}}" if match[1] else _written(labels[match[2]]), text)

    return _map_strings(value, fill, ())


def _written(value: Label) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _map_strings(value: Any, change: Callable[[str, KeyPath], Any], path: KeyPath) -> Any:
    if isinstance(value, str):
        return change(value, path)
    if isinstance(value, dict):
        return {key: _map_strings(inner, change, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_map_strings(inner, change, (*path, index)) for index, inner in enumerate(value)]
    return value
