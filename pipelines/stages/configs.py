"""Base of all stage configs, files named in configs, and the content key that a config leads to."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json, expand_user, file_sha256

UNLESS_DEFAULT: Final[dict[str, JsonValue]] = {"in_key": "unless_default"}
"""`json_schema_extra` of a field that was added after stages were run with a version that lacked it: it is part of
the key only where it differs from its default, so that those stages keep their keys."""

AS_WRITTEN: Final[dict[str, JsonValue]] = {"in_key": "as_written"}
"""`json_schema_extra` of a field that changes no result but was part of keys before that was noticed. The key has the
value in the recipe's file, so that stages keep their keys; `--set` changes it for an attempt and leaves the key."""


KEY_VERSION: Final = 1
"""Version of what stages compute, part of every content key: a higher one makes every finished stage run again.

It is not the version of the records (`pipelines.records.RECORD_VERSION`), which changes no result.
"""


class ConfigModel(BaseModel):
    """Base of every table of a config: refuses `true` and `false` where a number belongs.

    pydantic would read them as 1 and 0, so a typing error would make another stage.
    """

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        wrong = _wrong_truth_value(field.annotation, value) if field is not None else None
        if wrong is not None:
            raise ValueError(f"{str(wrong).lower()} is no number")
        return value


def _wrong_truth_value(annotation: Any, value: Any) -> bool | None:
    """Return the first truth value in a raw value that its annotation would only take as a number."""
    if isinstance(value, bool):
        expected = set(_leaf_types(annotation))
        return value if expected & {int, float} and not expected & {bool, Any, object} else None
    if isinstance(value, list | tuple):
        items: list[Any] = list(value)
    elif isinstance(value, dict):
        items = list(value.values())
    else:
        return None
    inner = [each for each in _members(annotation) if get_origin(each) in _CONTAINERS]
    arguments = [argument for each in inner for argument in get_args(each) if argument is not Ellipsis]
    if not arguments:
        return None
    found = (_wrong_truth_value(Union[tuple(arguments)], item) for item in items)  # noqa: UP007  # made at run time
    return next((wrong for wrong in found if wrong is not None), None)


_CONTAINERS: Final = (list, tuple, dict, set, frozenset, Sequence, Mapping)


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of an annotation, without `Annotated`."""
    if get_origin(annotation) is Annotated:
        yield from _members(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for argument in get_args(annotation):
            yield from _members(argument)
    else:
        yield annotation


def _leaf_types(annotation: Any) -> Iterator[Any]:
    for member in _members(annotation):
        if get_origin(member) is Literal:
            yield from map(type, get_args(member))
        else:
            yield member


class StageConfig(ConfigModel):
    """Base of all stage configs.

    Every field is part of the content key, with three exceptions, also in nested tables: a field with
    `json_schema_extra={"in_key": False}` changes no result and never is; a field with `UNLESS_DEFAULT` is not while
    it has its default; of a field with `AS_WRITTEN` the key has the value in the recipe's file, without `--set`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that decide what the stage computes, defaults included."""
        dumped = self.model_dump(mode="json", context={"for_key": True})
        _drop_outside_key(self, dumped)
        return dumped

    @classmethod
    def fields_outside_key(cls) -> set[str]:
        """Return the names of the fields that change no result and are not part of the key."""
        return {name for name, field in cls.model_fields.items() if key_rule(field) is False}


def key_rule(field: FieldInfo) -> Any:
    """Return the `in_key` of a field; None where it has no rule and is part of the key."""
    extra = field.json_schema_extra
    return extra.get("in_key") if isinstance(extra, dict) else None


def model_members(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """Yield the tables that a field may hold, without those in lists."""
    for member in _members(field.annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            yield member


def _drop_outside_key(value: Any, dumped: Any) -> None:
    """Remove from the dump of a config value, in place, what is not part of the key."""
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        for name, field in type(value).model_fields.items():
            rule = key_rule(field)
            inner = getattr(value, name)
            if rule is False or (rule == "unless_default" and _is_default(inner, field)):
                dumped.pop(name, None)
            elif isinstance(dumped.get(name), dict | list):  # most fields are numbers and texts
                _drop_outside_key(inner, dumped[name])
    elif isinstance(value, list | tuple) and isinstance(dumped, list):
        for each, dumped_each in zip(value, dumped, strict=True):
            _drop_outside_key(each, dumped_each)
    elif isinstance(value, dict) and isinstance(dumped, dict):
        for key, each in value.items():
            _drop_outside_key(each, dumped.get(str(key)))


def _is_default(value: Any, field: FieldInfo) -> bool:
    """Return whether a value equals the default of its field in what is part of the key."""
    return _same_in_key(value, field.get_default(call_default_factory=True, validated_data={}))


def _same_in_key(value: Any, other: Any) -> bool:
    """Return whether two values are equal in what is part of the key."""
    if not (isinstance(value, BaseModel) and type(value) is type(other)):
        return bool(value == other)
    dumps = []
    for each in (value, other):
        dumped = each.model_dump(mode="json", context={"for_key": True})
        _drop_outside_key(each, dumped)
        dumps.append(dumped)
    return bool(dumps[0] == dumps[1])


class InputFile(BaseModel):
    """A file named in a config. Its content is part of the key; its path is not.

    A recipe gives the path, relative to the recipe's folder (validation context `base`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: Path
    sha256: str

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str | Path):
            return value
        base = Path((info.context or {}).get("base", "."))
        try:
            path = (base / expand_user(Path(value))).absolute()
        except InvalidInput as error:
            raise ValueError(error.summary) from error
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        return {"path": path, "sha256": file_sha256(path)}

    def unchanged(self) -> Path:
        """Return the path after checking that the content is still what the stage was planned with.

        Raises:
            InvalidInput: the file is missing or its content changed, so the key would not describe this stage.
        """
        if not self.path.is_file() or file_sha256(self.path) != self.sha256:
            raise InvalidInput(
                f"the file {self.path} changed after this stage was planned",
                remedy="Restore the file, or plan again: with other content it is another stage.",
            )
        return self.path

    @model_serializer(mode="wrap")
    def _for_key(self, handler: Any, info: Any) -> Any:
        if (info.context or {}).get("for_key"):
            return {"sha256": self.sha256}
        return handler(self)


def content_key(
    kind: str, config: StageConfig, upstream: Iterable[str], *, fields: Mapping[str, Any] | None = None
) -> str:
    """Return `kind-` and 12 hex digits of the sha256 over kind, config, upstream keys and contract version.

    Args:
        kind: name of the stage kind.
        config: of the stage.
        upstream: keys of its inputs.
        fields: of the key, where they are not those of `config`.
    """
    identity = {
        "kind": kind,
        "config": config.key_fields() if fields is None else fields,
        "upstream": sorted(upstream),
        "contract": KEY_VERSION,
    }
    return f"{kind}-{hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12]}"
