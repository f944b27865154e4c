"""The config fields that name a judge, shared by the stages that judge: `judge` and `classify`."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from pipelines.behaviors.judges.llm.config import LLMJudgeConfig, model_of
from pipelines.behaviors.judges.registry import check_judge_name, judge_kind
from pipelines.behaviors.sets.definition import BehaviorSet
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import SETS
from pipelines.errors import InvalidInput


class JudgeChoiceConfig(LLMJudgeConfig):
    """The name of a judge and, for a model, how it is prompted."""

    judge: str = Field(
        default="rules",
        description="Which judge: rules, prose, openai:MODEL, anthropic:MODEL, vllm:MODEL (with url) or a plug-in's.",
    )

    @field_validator("judge")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            return check_judge_name(name)
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _judges_that_set(self) -> "JudgeChoiceConfig":
        if model_of(self) is None and self.behaviors not in (FOUR_HABITS.name, judge_kind(self.judge).behaviors):
            raise ValueError(
                f"behaviors: {self.judge} judges {judge_kind(self.judge).behaviors}; "
                f"only a language model can be asked about {self.behaviors}"
            )
        return self

    def behavior_set(self) -> BehaviorSet:
        """Return the set whose behaviours are judged.

        Raises:
            InvalidInput: it is not installed.
        """
        return SETS.get(self.behaviors if model_of(self) is not None else judge_kind(self.judge).behaviors)

    def key_fields(self) -> dict[str, Any]:
        """Leave out the fields of LLM judges where the judge reads none of them: they change nothing there."""
        fields = super().key_fields()
        if model_of(self) is not None or judge_kind(self.judge).needs_config:
            return fields
        return {name: value for name, value in fields.items() if name not in LLMJudgeConfig.model_fields}
