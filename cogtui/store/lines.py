"""One line of a stream file to the values the index keeps of it.

Validation happens in pydantic's core, straight from the bytes and only of the fields used: three times faster
than `json.loads`, and as strict as the records themselves.
"""

import json
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from pipelines.records import Alignment, Behavior, FinishReason, JudgeStatus

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Real = Annotated[float, Field(allow_inf_nan=False)]
_CONFIG: Final = ConfigDict(extra="ignore", strict=True)


class RolloutLine(TypedDict):
    """What is indexed of a rollout."""

    __pydantic_config__ = _CONFIG  # type: ignore[misc]
    id: Annotated[str, Field(min_length=1, max_length=200)]
    step: Int64
    problem_id: str
    split: str
    sample: Int64
    numbers: list[Int64]
    target: Int64
    completion: str
    reward: Real | None
    correct: bool | None
    answer: str | None
    finish_reason: FinishReason
    n_tokens: Int64
    meta: dict[str, Any]


class SpanLine(TypedDict):
    """What is indexed of a span."""

    __pydantic_config__ = _CONFIG  # type: ignore[misc]
    start: Int64 | None
    end: Int64 | None


class LabelledSpanLine(SpanLine):
    """The same, with its behaviour."""

    behavior: Behavior


class JudgementLine(TypedDict):
    """What is indexed of a judgement."""

    __pydantic_config__ = _CONFIG  # type: ignore[misc]
    rollout_id: str
    judge_run: str
    behavior: Behavior
    status: JudgeStatus
    count: Int64 | None
    spans: list[SpanLine]


class TraceLine(TypedDict):
    """What is indexed of a priming trace."""

    __pydantic_config__ = _CONFIG  # type: ignore[misc]
    id: Annotated[str, Field(min_length=1, max_length=200)]
    problem_id: str
    condition: str
    teacher: str
    numbers: list[Int64]
    target: Int64
    completion: str
    spans: list[LabelledSpanLine]
    reward: Real
    correct: bool
    answer: str | None


class MetricLine(TypedDict):
    """A metric record."""

    __pydantic_config__ = _CONFIG  # type: ignore[misc]
    step: Int64
    values: dict[str, Real]


ROLLOUT: Final = TypeAdapter(RolloutLine)
JUDGEMENT: Final = TypeAdapter(JudgementLine)
TRACE: Final = TypeAdapter(TraceLine)
METRIC: Final = TypeAdapter(MetricLine)


class BadLineError(ValueError):
    """A complete line that holds no such record; the message says why, in one line."""


def read_line(adapter: TypeAdapter[Any], data: bytes) -> Any:
    """The record on a line, as a plain dictionary.

    Raises:
        BadLineError: it holds none.
    """
    try:
        return adapter.validator.validate_json(data)
    except ValidationError as error:
        return _read_slowly(adapter, data, error)


def _read_slowly(adapter: TypeAdapter[Any], data: bytes, first: ValidationError) -> Any:
    """The fast parser refuses lone surrogates; here they are read, each as one replacement character."""
    if b"\\u" not in data and data.isascii():
        raise BadLineError(_reason(first)) from first
    try:
        value = _storable_inside(json.loads(data.decode("utf-8", "surrogatepass")))
        return adapter.validator.validate_python(value)
    except ValidationError as error:
        raise BadLineError(_reason(error)) from error
    except (ValueError, RecursionError) as error:
        raise BadLineError(_reason(first)) from error


def _storable_inside(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_storable_inside(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): _storable_inside(item) for key, item in value.items()}
    return value


def _reason(error: ValidationError) -> str:
    shown = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(map(str, shown["loc"]))
    return f"{place}: {shown['msg']}" if place else shown["msg"]


def storable(text: str) -> str:
    """The text as SQLite can take it: each lone surrogate one question mark, so that no offset shifts."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


STATUS_LETTERS: Final[dict[JudgeStatus, str]] = {
    "ok": "o", "parse_error": "p", "truncated": "t", "refused": "r", "api_error": "a", "unjudged": "u"
}  # fmt: skip
FINISH_CODES: Final[dict[FinishReason, int]] = {"stop": 0, "length": 1, "error": 2}
FINISH_UNKNOWN: Final = 3
FINISH_NAMES: Final = ("stop", "length", "error", "unknown")
"""Codes of `rollout.finish`; the last only where an imported file did not say."""
UNALIGNED: Final[Alignment] = "unaligned"
Family = Literal["rollouts", "traces", "judgements", "metrics", "annotations"]
FAMILIES: Final[tuple[Family, ...]] = ("rollouts", "traces", "judgements", "metrics")
"""Those of stage folders, in the order they are read: what others refer to comes first. People's annotations lie
beside the stages (`human_index`)."""
