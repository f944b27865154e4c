"""Base of all stage configs, files named in configs, and the content key that a config leads to."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_serializer, model_validator

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json, file_sha256
from pipelines.records import CONTRACT_VERSION


class StageConfig(BaseModel):
    """Base of all stage configs. A field with `json_schema_extra={"in_key": False}` is not part of the key."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def key_fields(self) -> dict[str, Any]:
        """Return the fields that decide what the stage computes, defaults included."""
        dumped = self.model_dump(mode="json", context={"for_key": True})
        return {name: value for name, value in dumped.items() if name not in self.fields_outside_key()}

    @classmethod
    def fields_outside_key(cls) -> set[str]:
        """Return the names of the fields that change no result and are not part of the key."""
        outside = set()
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("in_key") is False:
                outside.add(name)
        return outside


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
        path = (base / Path(value).expanduser()).absolute()
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


def content_key(kind: str, config: StageConfig, upstream: Iterable[str]) -> str:
    """Return `kind-` and 12 hex digits of the sha256 over kind, config, upstream keys and contract version."""
    identity = {
        "kind": kind,
        "config": config.key_fields(),
        "upstream": sorted(upstream),
        "contract": CONTRACT_VERSION,
    }
    return f"{kind}-{hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12]}"
