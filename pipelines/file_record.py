"""The records of small state files: `stage.json`, `job.json`, `exit.json` and their like.

They are msgspec structs, not pydantic models: `cogtui ls` reads nothing else, and importing pydantic alone would cost
it more than all its own work. Methods have pydantic's names, so that both sorts of records are used alike.
"""

import json
from typing import Any, Literal, Self

import msgspec


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One small file of JSON. Types are checked when it is read; fields it does not know are passed over."""

    @classmethod
    def model_validate(cls, raw: object) -> Self:
        """The record of a JSON value.

        Raises:
            ValueError: it is no such record; the message names the field.
        """
        return msgspec.convert(raw, cls)

    @classmethod
    def model_validate_json(cls, text: bytes) -> Self:
        """The record in a JSON text; lone surrogates are taken too.

        Raises:
            ValueError: it is no JSON, or no such record.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.ValidationError:
            raise
        except ValueError:
            return cls.model_validate(json.loads(text))  # the slow way: msgspec refuses lone surrogates

    def model_dump(self, *, mode: Literal["json"] = "json") -> dict[str, Any]:
        """The record as JSON values; there is no other mode."""
        dumped: dict[str, Any] = msgspec.to_builtins(self)
        return dumped

    def model_dump_json(self) -> str:
        """The record as JSON text."""
        return json.dumps(self.model_dump(), allow_nan=False)

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """A copy with some fields replaced; they are not checked."""
        return msgspec.structs.replace(self, **update)
