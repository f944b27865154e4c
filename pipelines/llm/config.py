"""How a stage asks a model's service. Nothing of it changes an answer, so nothing of it is part of a content key."""

from typing import Final

from pydantic import Field, JsonValue

from pipelines.stages import InputFile, StageConfig

_OUTSIDE_KEY: Final[dict[str, JsonValue]] = {"in_key": False}


class ModelServiceConfig(StageConfig):
    """Fields of every stage that may ask a model behind a service."""

    url: str | None = Field(
        default=None,
        description="Base URL of the server: required for vllm, another service of the same protocol for the rest. "
        "Where a model is served does not make it another model.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    batch: bool = Field(
        default=False,
        description="Ask through the vendor's Batch API: cheaper, slower.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    concurrency: int = Field(
        default=16, ge=1, le=256, description="Requests in flight at once, live.", json_schema_extra=_OUTSIDE_KEY
    )
    spending_cap: float | None = Field(
        default=None,
        gt=0,
        description="US dollars this stage may spend in all its attempts; none means no limit.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    prices: InputFile | None = Field(
        default=None,
        description="A price table of one's own (TOML), in the shape of pipelines/llm/prices.toml.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    poll_s: float = Field(
        default=30.0, gt=0, description="Seconds between two looks at open batches.", json_schema_extra=_OUTSIDE_KEY
    )
