"""The records of a stage folder: rollouts, metrics, judgements and their spans (docs/workspace.md).

Text offsets are half-open Python code-point offsets into a rollout's `completion` exactly as stored.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

RECORD_VERSION: Final = 2
"""Version of the record shapes, written as `v` into every line. Lines of all earlier versions are read.

1: rollouts had the fields `numbers` and `target` in the place of `task` and `problem`.
"""

Behavior: TypeAlias = str
"""Name of a behaviour of some set (`pipelines.behaviors.sets`); which sets there are is not known here."""

Alignment = Literal["exact", "normalised", "elided", "fuzzy", "segment", "unaligned"]
JudgeStatus = Literal["ok", "parse_error", "truncated", "refused", "api_error", "unjudged"]
FinishReason = Literal["stop", "length", "error"]


def text_sha256(text: str) -> str:
    """Return digest of a text as stored. Lone surrogates, which a damaged file can contain, are included."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Record(BaseModel):
    """Base of all records: immutable, and an unknown field is an error rather than a silent loss."""

    # Built when first used: most commands, and the app's first paint, import these models and validate none.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Span(Record):
    """The place of one instance of a behaviour in a completion, and how certain that place is."""

    start: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None
    quote: str
    """The quoted text; for `exact` spans it equals `completion[start:end]`."""
    alignment: Alignment = "exact"
    score: float = 1.0
    """Similarity of quote and place, 0 to 1; of the prose judge, the probability that the place shows the behaviour."""
    ambiguous: bool = False
    """The quote matches several places and the judge's answer does not decide between them."""
    why: str = ""
    weak: bool = False
    """A person or gold file marked it borderline: neither hit nor miss when scoring."""
    repeat: bool = False
    """The same instance stated again."""

    @model_validator(mode="after")
    def _offsets_fit_alignment(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("a span has both offsets or neither")
        if (self.start is None) != (self.alignment == "unaligned"):
            raise ValueError("a span has no offsets exactly when it is unaligned")
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"empty or reversed span {self.start}:{self.end}")
        return self


class LabelledSpan(Span):
    """A span with its behaviour, as judge functions return it and teachers and gold files store it."""

    behavior: Behavior


FactKind = Literal["wrong_equation", "illegal_number"]


class ArithmeticFact(Record):
    """An arithmetic error in a completion. It is no behaviour and is counted with none."""

    kind: FactKind
    """`wrong_equation`: its sides differ. `illegal_number`: a number neither given nor a result, or used too often."""
    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    quote: str
    """`completion[start:end]`."""
    why: str = ""


class AttemptFact(Record):
    """One attempt at a problem with numbers and a target, by its place in the completion."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(gt=0)]
    """Of its last computation."""
    legal: bool
    """Whether it uses given numbers at most as often as given, and its own results at most once each."""
    complete: bool
    """Whether it is legal and uses all given numbers."""
    equations: int
    wrong: int
    """Number of its false equations."""
    reached: bool
    """Whether its last result, as written, is the target."""
    said: bool | None
    """Whether the verdict on it states that the target is reached; None without a verdict."""

    @property
    def hit(self) -> bool:
        """Whether it solves the problem."""
        return self.reached and self.complete and not self.wrong


class Rollout(Record):
    """One completion of one problem, with its exact reward."""

    id: str
    step: int
    """Training step the policy was at; 0 before the first update."""
    split: str
    """`train`, `test`, or the name of an evaluation set."""
    problem_id: str
    sample: int
    """Which of the completions of this problem at this step, from 0."""
    task: str
    """Name of the task, e.g. `countdown`; empty where the completion answers no problem of a known task."""
    problem: dict[str, Any]
    """The problem as the task's own JSON; its `id` is `problem_id`."""
    prompt: str
    completion: str
    reward: float | None
    """None where it was not scored. A wrong answer is not None."""
    correct: bool | None
    answer: str | None
    finish_reason: FinishReason
    n_tokens: int
    """Generated tokens, the end-of-sequence token included."""
    meta: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, value: Any) -> Any:
        return upgrade_record(value)


class Metric(Record):
    """Named values of one training step. A value that could not be computed is left out, never 0 or NaN."""

    step: int
    values: dict[str, float]


class JudgeRun(Record):
    """A judge with all that its judgements depend on, so that a count can be traced to its origin."""

    id: str
    judge: str
    """`rules`, `openai:MODEL`, `anthropic:MODEL`, `vllm:MODEL`, `human`, `teacher`."""
    model: str | None = None
    prompt_sha256: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    segmenter: str | None = None
    aligner: str | None = None


class Judgement(Record):
    """The judgement of one behaviour in one rollout by one judge run.

    `count` is what the judge declared; it is None unless `status` is `ok`: missing is not zero.
    """

    rollout_id: str
    judge_run: str
    behavior: Behavior
    status: JudgeStatus
    count: int | None
    spans: tuple[Span, ...] = ()
    raw: str | None = None
    usage: dict[str, Any] = Field(default_factory=dict)
    text_sha256: str
    facts: tuple[ArithmeticFact, ...] = ()
    """Arithmetic errors that the judge found. They belong to the completion, not to the behaviour, so only the first
    judgement of a rollout has them."""
    attempts: tuple[AttemptFact, ...] = ()
    """The attempts that the judge read, on the first judgement of a rollout too."""

    @model_validator(mode="after")
    def _missing_is_not_zero(self) -> Self:
        if (self.count is None) == (self.status == "ok"):
            raise ValueError("a judgement has a count exactly when its status is ok")
        return self


def upgrade_record(value: Any) -> Any:
    """Return a record of version 1 with `task` and `problem` in the place of `numbers` and `target`; others as given.

    Raises:
        ValueError: numbers or target are not whole numbers.
    """
    if not isinstance(value, dict) or "problem" in value or "numbers" not in value:
        return value
    rest = {name: field for name, field in value.items() if name not in ("numbers", "target")}
    numbers, target = value["numbers"], value.get("target")
    if not isinstance(numbers, list | tuple) or not all(type(number) is int for number in numbers):
        raise ValueError("numbers: not a list of whole numbers")
    if type(target) is not int:
        raise ValueError("target: not a whole number")
    identity = value.get("problem_id")
    return rest | countdown_fields(numbers, target, identity if isinstance(identity, str) else None)


def countdown_fields(numbers: Sequence[int], target: int, problem_id: str | None = None) -> dict[str, Any]:
    """Return `task` and `problem` of a record about a Countdown problem.

    Args:
        numbers: the given numbers; without any the record is about no problem of a known task.
        target: the number to reach.
        problem_id: by default one that follows from numbers and target.
    """
    if problem_id is None:
        problem_id = f"{'-'.join(map(str, sorted(numbers)))}_{target}" if numbers else ""
    if not numbers:
        return {"task": "", "problem": {"id": problem_id}}
    return {"task": "countdown", "problem": {"id": problem_id, "numbers": list(numbers), "target": target}}


def rollout_id(stage_key: str, split: str, step: int, problem_id: str, sample: int) -> str:
    """Return the id of a rollout, 16 hex digits that follow from stage, split, step, problem and sample."""
    place = "\x1f".join((stage_key, split, str(step), problem_id, str(sample)))
    return hashlib.sha256(place.encode()).hexdigest()[:16]
