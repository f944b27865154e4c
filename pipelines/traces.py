"""Priming traces: a teacher's completions of problems, with scores and spans of behaviours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from pipelines.errors import InvalidInput
from pipelines.records import LabelledSpan, Record, upgrade_record
from pipelines.streams import complete_lines, parse_line

TRACES_NAME: Final = "traces.jsonl"
"""File name of the artifact."""


class PrimingTrace(Record):
    """One priming trace. Models are trained on `prompt + completion` with the loss on the completion."""

    id: str
    """Follows from the set, the problem and the index in the set."""
    problem_id: str
    condition: str
    teacher: str
    """`symbolic`, `anthropic:MODEL`, `human`."""
    task: str
    """Name of the task the problem belongs to."""
    problem: dict[str, Any]
    """The problem as the task's own JSON."""
    prompt: str
    completion: str
    """Continues the prompt directly; has no end-of-sequence token."""
    spans: tuple[LabelledSpan, ...] = ()
    """Behaviours by code-point offsets into `completion`; exact for the symbolic teacher, else by the rules judge."""
    reward: float
    correct: bool
    answer: str | None
    meta: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, value: Any) -> Any:
        return upgrade_record(value)


def encode_trace(trace: PrimingTrace) -> bytes:
    """Encode a trace as a line of `traces.jsonl`, in ASCII, so that no character of a text can break the line."""
    return json.dumps(trace.model_dump(mode="json"), separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_traces(path: Path) -> Iterator[PrimingTrace]:
    """Iterate over the traces of a `traces.jsonl`, in order.

    Raises:
        InvalidInput: a line is not a trace; names it.
    """
    for number, line in enumerate(complete_lines(path), start=1):
        try:
            trace = PrimingTrace.model_validate(parse_line(line.data))
        except ValueError as error:
            raise InvalidInput(f"{path}: line {number} is not a priming trace", detail=str(error)) from error
        yield trace
