"""Config fields of stages that send requests to a model service. None of them is part of a content key."""

from typing import Final

from pydantic import Field, JsonValue

from pipelines.stages import InputFile, StageConfig

_OUTSIDE_KEY: Final[dict[str, JsonValue]] = {"in_key": False}


class ModelServiceConfig(StageConfig):
    """Fields of every stage that may send requests to a model service."""

    url: str | None = Field(
        default=None,
        description="Base URL of the server. Required for vllm; for others, a service that speaks the same protocol.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    batch: bool = Field(
        default=False,
        description="Send requests through the vendor's Batch API: cheaper and slower.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    concurrency: int = Field(
        default=16, ge=1, le=256, description="Live requests in flight at once.", json_schema_extra=_OUTSIDE_KEY
    )
    spending_cap: float | None = Field(
        default=None,
        gt=0,
        description="US dollars this stage may spend over all its attempts; none means no limit.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    prices: InputFile | None = Field(
        default=None,
        description="A price table (TOML) instead of the one in pipelines/llm/prices.toml, in the same format.",
        json_schema_extra=_OUTSIDE_KEY,
    )
    poll_s: float = Field(
        default=30.0, gt=0, description="Seconds between polls of open batches.", json_schema_extra=_OUTSIDE_KEY
    )
