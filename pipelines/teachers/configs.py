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
"""The teacher that needs no model: `pipelines.teachers.symbolic.teacher`."""

Style = Literal["varied", "plain"]


class PrimingDataConfig(ModelServiceConfig):
    """`priming_data`: the traces of one condition."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    condition: ConditionName
    """Which behaviours the traces show."""
    teacher: str = SYMBOLIC
    """Who writes them: `symbolic`, or a model as in `anthropic:MODEL`, `openai:MODEL`, `vllm:MODEL`."""
    n: Annotated[int, Field(ge=1)] = 1000
    """How many traces; of a set derived from another, at most as many as that has."""
    style: Style = "varied"
    """`varied` wording and layouts, or the small closed vocabulary of `plain` for models made from scratch."""
    failed_attempts: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 10)
    """Fewest and most failed attempts of a search."""
    unsolved: Literal["redraw", "keep"] = "redraw"
    """A search that finds nothing within its attempts is drawn again, or kept as a trace without an answer."""
    max_words: Annotated[int, Field(ge=1)] | None = None
    """Longest trace in words, or for `plain` in phrases, signs and numbers; longer ones are drawn again."""
    linear_correct: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of the traces without search (`negative_control`) that reach the target."""
    source_condition: ConditionName = "all_strategies"
    """What a derived set is derived from when no other set is given as input."""
    wrong_answers: Literal["illegal_line", "corrupted_answer", "select"] = "illegal_line"
    """How a set becomes wrong: the winning line uses a number not given, only the final answer is changed, or the
    traces are taken whose answer is wrong already."""
    traces: InputFile | None = None
    """JSONL of people's traces, for `human_cot`."""
    seed: int = 0
    """Seeds every random choice."""
    breaking: Literal["keep", "drop"] = "keep"
    """What becomes of a model's traces that show what their condition forbids, or lack what it asks for."""
    prompts: dict[str, InputFile] = Field(default_factory=dict)
    """Prompt files of one's own for a model, by name: system, problem, manner, or a condition."""
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    """Limit of a model's trace in tokens; what reaches it is dropped as truncated."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """Sampling temperature of a model; none leaves it to the service."""
    draws: Annotated[float, Field(ge=1)] = 3.0
    """Traces asked of a model for each one wanted, at most; what is missing then stays missing, and is said."""
    over_request: Annotated[float, Field(ge=0, le=1, json_schema_extra={"in_key": False})] = 0.0
    """Share asked of a model beyond what is missing, so that refusals and repeats cost no second batch."""

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
            raise ValueError(f"failed_attempts {list(self.failed_attempts)}: the fewest are more than the most")
        if CONDITIONS[self.source_condition].origin != "written":
            raise ValueError(f"source_condition {self.source_condition} is not one that a teacher writes")
        if (self.condition == "human_cot") != (self.traces is not None):
            raise ValueError("human_cot, and only that, reads its traces from a file: set `traces`")
        return self

    def model_spec(self) -> ModelSpec | None:
        """The model that writes; None for the symbolic teacher.

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
        """Without the fields that only models use where none writes: they change nothing there."""
        fields = super().key_fields()
        if self.teacher != SYMBOLIC:
            return fields
        return {name: value for name, value in fields.items() if name not in _MODEL_FIELDS}


_MODEL_FIELDS: Final = frozenset({"breaking", "prompts", "max_tokens", "temperature", "draws"})
