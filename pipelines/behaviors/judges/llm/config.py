"""The config fields of LLM judges."""

from typing import Final

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipelines.behaviors.judges.llm.prompts import JudgeMode, prompt_names
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import SETS
from pipelines.errors import InvalidInput
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.config import ModelServiceConfig
from pipelines.stages import UNLESS_DEFAULT, InputFile

ANSWER_TOKENS: Final[dict[JudgeMode, int]] = {"spans": 8192, "count_parity": 1024}
"""Limit of an answer where the config says nothing: for spans enough to quote all of a dense window, for counts more
than the published scripts gave, which cut explanations at 256 and 512 tokens, and with them the counts."""


class LLMJudgeConfig(ModelServiceConfig):
    """The config fields that only LLM judges read."""

    mode: JudgeMode = Field(
        default="spans", description="spans: instances with quotes; count_parity: counts only, as published."
    )
    behaviors: str = Field(
        default=FOUR_HABITS.name,
        description="The behaviour set a model is asked about.",
        json_schema_extra=UNLESS_DEFAULT,
    )
    prompts: dict[str, InputFile] = Field(
        default_factory=dict, description="Prompt files of one's own by name, e.g. { verification = 'mine.md' }."
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Limit of an answer in tokens; 8192 for spans, 1024 for count_parity."
    )
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature; none leaves it to the service (0 for vllm)."
    )
    reasks: int = Field(
        default=1, ge=0, le=1, description="Corrective questions about an answer that cannot be read or placed."
    )
    repeat: int = Field(
        default=0,
        ge=0,
        description="Number of an independent repetition: the same questions asked again, to see how a model agrees"
        " with itself.",
        json_schema_extra=UNLESS_DEFAULT,
    )
    window: int = Field(
        default=6_000, ge=500, description="Characters of a trace shown at once; longer ones are judged in parts."
    )

    @field_validator("behaviors")
    @classmethod
    def _known_set(cls, name: str) -> str:
        try:
            return SETS.get(name).name
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, prompts: dict[str, InputFile], info: ValidationInfo) -> dict[str, InputFile]:
        if "behaviors" not in info.data or "mode" not in info.data:
            return prompts  # one of them is wrong and reported
        names = prompt_names(info.data["mode"], SETS.get(info.data["behaviors"]))
        unknown = sorted(set(prompts) - set(names))
        if unknown:
            raise ValueError(f"no prompt {', '.join(unknown)} in this mode; there are {', '.join(names)}")
        return prompts

    @model_validator(mode="after")
    def _known_model(self) -> "LLMJudgeConfig":
        spec = model_of(self)
        if spec is not None and spec.provider == "vllm" and self.batch:
            raise ValueError("batch: a vllm server has no Batch API; for another server that has one use openai:MODEL")
        return self


def model_of(config: LLMJudgeConfig) -> ModelSpec | None:
    """Return the model of a config's judge; None if the judge is no model.

    Raises:
        ValueError: it is one, but its URL is missing or wrong.
    """
    name = getattr(config, "judge", "")
    if not isinstance(name, str) or ":" not in name:
        return None
    if name.startswith("vllm:") and getattr(config, "offline", None) is not None:
        return ModelSpec("vllm", name.removeprefix("vllm:"))  # runs in this process, without a server
    try:
        return ModelSpec.parse(name, config.url)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
