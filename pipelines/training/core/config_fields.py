"""The base of tables in training configs, and the types of their numbers."""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from pipelines.stages import ConfigModel

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NonNegativeFloat = Annotated[float, Field(ge=0)]

OUTSIDE_KEY: Final[dict[str, Any]] = {"in_key": False}
"""`json_schema_extra` of a field that changes no result."""


class ConfigTable(ConfigModel):
    """A table inside a training config."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)
