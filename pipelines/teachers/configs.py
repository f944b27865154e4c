"""Config of the `priming_data` stage."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipelines.errors import InvalidInput
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.config import ModelServiceConfig
from pipelines.stages import InputFile
from pipelines.teachers.conditions import CONDITIONS, ConditionName
from pipelines.teachers.model.prompts import PARTS

SYMBOLIC: Final = "symbolic"
"""Name of the teacher that needs no model."""

Style = Literal["varied", "plain"]


class PrimingDataConfig(ModelServiceConfig):
    """`priming_data`: priming traces of one condition."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    condition: ConditionName
    """Condition, which says what behaviours the traces show."""
    teacher: str = SYMBOLIC
    """Teacher that writes them: `symbolic`, `anthropic:MODEL`, `openai:MODEL` or `vllm:MODEL`."""
    n: Annotated[int, Field(ge=1)] = 1000
    """Number of traces; a derived set has at most as many as its source."""
    style: Style = "varied"
    """`varied` wordings and layouts, or the small closed vocabulary of `plain` for models built from scratch."""
    failed_attempts: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 10)
    """Fewest and most failed attempts of a search."""
    unsolved: Literal["redraw", "keep"] = "redraw"
    """Whether a search without a solution is repeated with other random choices or kept, as a trace without answer."""
    max_words: Annotated[int, Field(ge=1)] | None = None
    """Most words of a trace (`plain`: phrases, signs and numbers); longer ones are written again."""
    linear_correct: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Fraction of the traces without a search (`negative_control`) that reach the target."""
    source_condition: ConditionName = "all_strategies"
    """Condition of the source of a derived set, if no set is an input of the stage."""
    wrong_answers: Literal["illegal_line", "corrupted_answer", "select"] = "illegal_line"
    """How wrong answers are made: the last line uses a number that was not given, only the final answer is replaced, or
    traces with a wrong answer are selected."""
    traces: InputFile | None = None
    """JSONL file with traces written by people, for `human_cot`."""
    seed: int = 0
    """Seeds every random choice."""
    breaking: Literal["keep", "drop"] = "keep"
    """Whether to keep or drop a model's traces that violate their condition."""
    prompts: dict[str, InputFile] = Field(default_factory=dict)
    """Prompt files that replace ours, by name: system, problem, manner, or a condition."""
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    """Most tokens of a model's trace; a trace that reaches the limit is dropped as truncated."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature of the model; none leaves it to the service."""
    draws: Annotated[float, Field(ge=1)] = 3.0
    """Most requests to a model per wanted trace; a set that is still short then is reported as such."""
    over_request: Annotated[float, Field(ge=0, le=1, json_schema_extra={"in_key": False})] = 0.0
    """Fraction of traces requested beyond those missing, so that refusals and repeats need no second batch."""

    @field_validator("prompts")
    @classmethod
    def _known_prompts(cls, prompts: dict[str, InputFile]) -> dict[str, InputFile]:
        unknown = sorted(set(prompts) - set(PARTS))
        if unknown:
            raise ValueError(f"no prompt {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return prompts

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        spec = self.model_spec()
        if spec is not None and spec.provider == "vllm" and self.batch:
            raise ValueError("batch: a vllm server has no Batch API; for another server that has one use openai:MODEL")
        if self.condition == "none":
            raise ValueError("the condition none has no priming data; skip this stage for it")
        if self.failed_attempts[0] > self.failed_attempts[1]:
            raise ValueError(f"failed_attempts {list(self.failed_attempts)}: the minimum is larger than the maximum")
        if CONDITIONS[self.source_condition].origin != "written":
            raise ValueError(f"source_condition {self.source_condition} is not one that a teacher writes")
        if (self.condition == "human_cot") != (self.traces is not None):
            raise ValueError("human_cot, and only that, reads its traces from a file: set `traces`")
        return self

    def model_spec(self) -> ModelSpec | None:
        """Return the model that writes; None for the symbolic teacher.

        Raises:
            ValueError: no such teacher, or its URL is missing or wrong.
        """
        if self.teacher == SYMBOLIC:
            return None
        try:
            return ModelSpec.parse(self.teacher, self.url)
        except InvalidInput as error:
            if ":" not in self.teacher:
                raise ValueError(f"no teacher {self.teacher!r}; teachers: {SYMBOLIC}, or a model: {error}") from error
            raise ValueError(str(error)) from error

    def key_fields(self) -> dict[str, Any]:
        """Return the fields in the key; those that only models use are left out for the symbolic teacher."""
        fields = super().key_fields()
        if self.teacher != SYMBOLIC:
            return fields
        return {name: value for name, value in fields.items() if name not in _MODEL_FIELDS}


_MODEL_FIELDS: Final = frozenset({"breaking", "prompts", "max_tokens", "temperature", "draws"})
