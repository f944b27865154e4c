"""The fields of a recipe as a form: from its values and the config models of its stages.

A field has the path by which `--set` changes it. Values are shown as text that `--set` reads back.
"""

import json
import math
import tomllib
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from jobs.recipe.resources import Resources
from pipelines.errors import CogtuiError
from pipelines.stages import RESERVED_FIELDS, stage_kind

FieldPath = tuple[str, ...]

UNSET: Final = "unset"
CLUSTERS: Final = ("local", "slurm")
CLUSTER_PATH: Final[FieldPath] = ("cluster",)
"""Path of the choice of a cluster, which is an option of `cogtui run` and no part of the recipe."""
RETRY_PATH: Final[FieldPath] = ("retry",)
"""Path of the choice to start failed stages again, another option of `cogtui run`."""
OPTION_PATHS: Final = (CLUSTER_PATH, RETRY_PATH)
_WORDS: Final[Mapping[Any, str]] = {
    int: "whole number",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
}
_EVERYWHERE: Final = ("gpus", "cpus", "memory", "time")
_SLURM_ONLY: Final = ("partition", "account", "qos", "nodes")


class FormField(NamedTuple):
    """One line of the form."""

    path: FieldPath
    """As `--set` names it, without dots."""
    section: str
    label: str
    recipe: str
    """Text of the recipe's value; empty if the recipe leaves the field to its default."""
    default: str
    """Text of the model's default; empty if the field is required."""
    type: str
    """The type in words, with its limits: `whole number, 1 or more`."""
    help: str
    choices: tuple[str, ...] = ()
    """The possible values, if they are few."""

    @property
    def name(self) -> str:
        """Dotted path."""
        return ".".join(self.path)

    @property
    def value(self) -> str:
        """Text of the value that holds without any change."""
        return self.recipe or self.default


def form_fields(data: Mapping[str, Any]) -> list[FormField]:
    """Return the fields of a recipe by section: experiment, each stage, resources.

    Args:
        data: the recipe as TOML values. Parts that are not valid have no fields.
    """
    fields = [*_experiment_fields(data), *_cluster_fields(data)]
    stages = data.get("stages")
    for name, table in stages.items() if isinstance(stages, Mapping) else ():
        if isinstance(table, Mapping):
            fields += _stage_fields(str(name), table)
    return fields


def entry_text(value: Any) -> str:
    """Return a TOML value as text that `--set` reads back; strings without quotes where possible."""
    if value is None:
        return UNSET
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        return value if _is_plain(value) else json.dumps(value, ensure_ascii=False)
    return _toml(value)


def _is_plain(text: str) -> bool:
    if not text or text != text.strip() or "\n" in text or text == UNSET:
        return False
    try:
        tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return True
    return False


def _toml(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return str(value) if not math.isfinite(value) else repr(value)
        case int():
            return str(value)
        case Mapping():
            return (
                "{}"
                if not value
                else "{ " + ", ".join(f"{json.dumps(str(k))} = {_toml(v)}" for k, v in value.items()) + " }"
            )
        case list() | tuple() | set() | frozenset():
            return "[" + ", ".join(_toml(each) for each in value) + "]"
        case Enum():
            return _toml(value.value)
        case BaseModel():
            return _toml(value.model_dump(mode="json", exclude_none=True))
        case _:
            return json.dumps(str(value), ensure_ascii=False)


def _experiment_fields(data: Mapping[str, Any]) -> Iterator[FormField]:
    section = "experiment"
    if "name" in data:
        yield FormField(
            ("name",), section, "name", entry_text(data["name"]), "", "lower-case letters, digits, dots, - and _",
            "Name of the experiment: finished stages are reused under every name.",
        )  # fmt: skip
    matrix = data.get("matrix")
    for name, values in matrix.items() if isinstance(matrix, Mapping) else ():
        if name not in ("include", "exclude"):
            yield FormField(
                ("matrix", str(name)), section, str(name), entry_text(values), "", "list of values",
                f"Values of {name}: every combination with the other dimensions and seeds is one cell.",
            )  # fmt: skip
    if "seeds" in data:
        yield FormField(
            ("seeds",), section, "seeds", entry_text(data["seeds"]), "", "list of whole numbers",
            "One run of every condition for each seed; one seed gives no interval over seeds.",
        )  # fmt: skip


def _cluster_fields(data: Mapping[str, Any]) -> Iterator[FormField]:
    yield FormField(
        CLUSTER_PATH, "where", "cluster", CLUSTERS[0], "", "one of local, slurm",
        "`local` runs on this machine and goes on when you leave; `slurm` submits to the cluster.", CLUSTERS,
    )  # fmt: skip
    yield FormField(
        RETRY_PATH, "where", "retry", "false", "", "one of false, true",
        "Whether to start failed and cancelled stages again, too.", ("false", "true"),
    )  # fmt: skip
    resources = data.get("resources")
    tables = resources if isinstance(resources, Mapping) else {}
    for name in dict.fromkeys(("default", *map(str, tables))):
        table = tables.get(name, {})
        if not isinstance(table, Mapping):
            continue
        named = [field for field in Resources.model_fields if field in table]
        for field in dict.fromkeys((*(_EVERYWHERE + _SLURM_ONLY if name == "default" else ()), *named)):
            label = field if name == "default" else f"{name}.{field}"
            info = Resources.model_fields[field]
            yield _field(("resources", name, field), "where", label, info, table, str(info.description or ""))


def _stage_fields(name: str, table: Mapping[str, Any]) -> Iterator[FormField]:
    try:
        model = stage_kind(str(table.get("kind"))).config_model()
    except CogtuiError:
        return
    config = {key: value for key, value in table.items() if key not in RESERVED_FIELDS}
    yield from _model_fields(("stages", name), name, "", model, config)


def _model_fields(
    path: FieldPath, section: str, prefix: str, model: type[BaseModel], table: Mapping[str, Any], default: Any = None
) -> Iterator[FormField]:
    for name, info in model.model_fields.items():
        inner = _inner_model(info.annotation)
        given = table.get(name, {})
        if inner is not None and isinstance(given, Mapping) and (given or isinstance(_default(info), BaseModel)):
            yield from _model_fields((*path, name), section, f"{prefix}{name}.", inner, given, _default(info))
            continue
        fallback = getattr(default, name, None) if isinstance(default, BaseModel) else PydanticUndefined
        yield _field((*path, name), section, prefix + name, info, table, str(info.description or ""), fallback)


def _field(
    path: FieldPath,
    section: str,
    label: str,
    info: FieldInfo,
    table: Mapping[str, Any],
    description: str,
    fallback: Any = PydanticUndefined,
) -> FormField:
    default = _default(info) if fallback is PydanticUndefined else fallback
    written = entry_text(table[path[-1]]) if path[-1] in table else ""
    shown = "" if default is PydanticUndefined else entry_text(default)
    choices = _choices(info.annotation)
    kind = f"one of {', '.join(choices)}" if choices else _type_words(info.annotation)
    limits = _limits(info)
    if limits and kind == "list":
        limits = f"each {limits}"
    text = " ".join(description.split())
    return FormField(path, section, label, written, shown, f"{kind}, {limits}" if limits else kind, text, choices)


def _default(info: FieldInfo) -> Any:
    if info.default_factory is not None:
        return info.get_default(call_default_factory=True, validated_data={})
    return info.default


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a table field; None for unions of several models and for plain values."""
    models = [each for each in _options(annotation) if isinstance(each, type) and issubclass(each, BaseModel)]
    others = [each for each in _options(annotation) if each not in models and each is not type(None)]
    return models[0] if len(models) == 1 and not others and _is_table(models[0]) else None


def _is_table(model: type[BaseModel]) -> bool:
    """Whether recipes write the model as a table. A file is written as its path."""
    return model.__name__ != "InputFile"


def _options(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _options(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(option for each in get_args(annotation) for option in _options(each))
    return (annotation,)


def _choices(annotation: Any) -> tuple[str, ...]:
    options = [each for each in _options(annotation) if each is not type(None)]
    if options == [bool]:
        return ("false", "true")
    if options and all(get_origin(each) is Literal for each in options):
        return tuple(entry_text(value) for each in options for value in get_args(each))
    return ()


def _type_words(annotation: Any) -> str:
    words = []
    for each in _options(annotation):
        origin = get_origin(each) or each
        if each is type(None):
            continue
        if origin in (list, tuple, set, frozenset):
            words.append("list")
        elif origin is Literal:
            words.append(" or ".join(entry_text(value) for value in get_args(each)))
        elif origin is dict or (isinstance(origin, type) and issubclass(origin, Mapping)):
            words.append("table")
        elif isinstance(origin, type) and issubclass(origin, BaseModel):
            words.append("table" if _is_table(origin) else "path of a file")
        else:
            words.append(_WORDS.get(origin, "value"))
    return " or ".join(dict.fromkeys(words))


def _limits(info: FieldInfo) -> str:
    found: dict[str, Any] = {}
    for source in (info.metadata, *(getattr(each, "__metadata__", ()) for each in get_args(info.annotation))):
        for item in source:
            for limit in (item, *getattr(item, "metadata", ())):
                for name in ("ge", "gt", "le", "lt"):
                    value = getattr(limit, name, None)
                    if isinstance(value, int | float):
                        found.setdefault(name, value)
    low = f"{found['ge']:g} or more" if "ge" in found else f"more than {found['gt']:g}" if "gt" in found else ""
    high = f"{found['le']:g} or less" if "le" in found else f"less than {found['lt']:g}" if "lt" in found else ""
    if "ge" in found and "le" in found:
        return f"{found['ge']:g} to {found['le']:g}"
    return ", ".join(filter(None, (low, high)))
