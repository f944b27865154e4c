"""Import of traces written by people, from a JSONL file with one trace per line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import InvalidInput
from pipelines.records import LabelledSpan
from pipelines.streams import parse_line
from pipelines.tasks.countdown.problems import Problem, make_problem
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.teacher import DroppedTrace

HUMAN_TEACHER = "human"


class HumanTrace(BaseModel):
    """A line of the file; further fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    numbers: Annotated[tuple[int, ...], Field(validation_alias=AliasChoices("numbers", "nums"))]
    target: int
    completion: Annotated[str, Field(validation_alias=AliasChoices("completion", "text", "trace"), min_length=1)]
    """The trace, from the end of the prompt, with the answer between answer tags."""
    spans: tuple[LabelledSpan, ...] = ()
    """Spans of behaviours, as in a gold file."""


def read_human_traces(path: Path, test: Sequence[Problem]) -> Iterator[tuple[Problem, WrittenTrace | DroppedTrace]]:
    """Iterate over the traces of a file. Traces of test problems are dropped, because they would leak answers.

    Raises:
        InvalidInput: a line is not a trace, or a span is of no known behaviour or does not quote the text.
    """
    tested = {problem.key for problem in test}
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            row = HumanTrace.model_validate(parse_line(line))
            problem = make_problem(row.numbers, row.target)
            for span in row.spans:
                if span.behavior not in BEHAVIOR_LETTERS:
                    raise ValueError(
                        f"{span.behavior!r} is a behaviour of no set; there are {', '.join(BEHAVIOR_LETTERS)}"
                    )
                if span.start is not None and row.completion[span.start : span.end] != span.quote:
                    raise ValueError(f"the span {span.start}:{span.end} does not quote the text")
        except ValueError as error:
            raise InvalidInput(
                f"{path}: line {number} is not a trace",
                detail=str(error),
                remedy="A line is an object with numbers, target and completion.",
            ) from error
        if problem.key in tested:
            yield problem, DroppedTrace("test_problem")
        else:
            yield problem, WrittenTrace(row.completion, row.spans, {"line": number})
