"""The records of small state files: `stage.json`, `job.json`, `exit.json` and their like.

They are msgspec structs, not pydantic models: `cogtui ls` reads nothing else, and importing pydantic alone would cost
it more than all its own work. Methods have pydantic's names, so that both sorts of records are used alike.
"""

import json
from typing import Any, Literal, Self

import msgspec


class FileRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One small file of JSON. Types are checked when it is read; unknown fields are ignored."""

    @classmethod
    def model_validate(cls, raw: object) -> Self:
        """Return the record of a JSON value.

        Raises:
            ValueError: the value is not a valid record; the message names the field.
        """
        return msgspec.convert(raw, cls)

    @classmethod
    def model_validate_json(cls, text: bytes) -> Self:
        """Return the record in a JSON text; lone surrogates are accepted.

        Raises:
            ValueError: the text is not JSON, or not a valid record.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except msgspec.ValidationError:
            raise
        except ValueError:
            return cls.model_validate(json.loads(text))  # the slow way: msgspec refuses lone surrogates

    def model_dump(self, *, mode: Literal["json"] = "json") -> dict[str, Any]:
        """Return the record as JSON values; there is no other mode."""
        dumped: dict[str, Any] = msgspec.to_builtins(self)
        return dumped

    def model_dump_json(self) -> str:
        """Return the record as JSON text."""
        return json.dumps(self.model_dump(), allow_nan=False)

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """Return a copy with some fields replaced; they are not checked."""
        return msgspec.structs.replace(self, **update)
