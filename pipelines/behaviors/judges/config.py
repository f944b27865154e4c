"""The config fields that name a judge, shared by the stages that judge: `judge` and `classify`."""

from typing import Any

from pydantic import Field, field_validator

from pipelines.behaviors.judges.llm.config import LLMFields, model_of
from pipelines.behaviors.judges.registry import check_judge_name, judge_kind
from pipelines.errors import InvalidInput


class JudgeFields(LLMFields):
    """Which judge, and how it is asked if it is a model."""

    judge: str = Field(
        default="rules",
        description="Which judge: rules, openai:MODEL, anthropic:MODEL, vllm:MODEL (with url) or one of a plug-in.",
    )

    @field_validator("judge")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return check_judge_name(name)
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    def key_fields(self) -> dict[str, Any]:
        """Leave out the fields of LLM judges where the judge reads none of them: they change nothing there."""
        fields = super().key_fields()
        if model_of(self) is not None or judge_kind(self.judge).needs_config:
            return fields
        return {name: value for name, value in fields.items() if name not in LLMFields.model_fields}
