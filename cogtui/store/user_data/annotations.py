"""Annotations: the spans that people mark in rollouts, in append-only files, and as judgements of a judge run.

`annotations/USER@HOST.jsonl`: each line is the complete annotation of one rollout by one person. The latest line
counts, by its time and then its id. Lines never repeat what judges found.

An adjudication is such a line of the annotator `ADJUDICATED`: the final label of a rollout, with who decided it and
which annotations it was decided from. The latest counts; earlier ones stay in the files.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cogtui.store.db.statements import JudgementFields
from cogtui.store.values.encodings import STATUS_LETTERS
from jobs.append_log import append_lines, own_file
from jobs.workspace import Workspace
from pipelines.behaviors.judge import judge_run
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_in_use
from pipelines.errors import InvalidInput
from pipelines.field_names import misspelt_field
from pipelines.records import Behavior, JudgeRun, JudgeStatus, LabelledSpan, Span, text_sha256
from pipelines.streams import complete_lines, parse_line

FOLDER: Final = "annotations"
HUMAN: Final = "human"
ADJUDICATED: Final = "adjudicated"
"""The annotator of final labels; no person can have this name."""
MAX_NAME: Final = 200
"""Greatest number of characters of an annotator's name."""
ANNOTATORS: Final = "annotators"
"""The basis of an adjudication: the spans of the annotators, not those of a judge."""


class HumanAnnotation(BaseModel):
    """One line: the complete annotation of one rollout by one person."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    v: int = 1
    id: Annotated[str, Field(min_length=1)]
    """Unique id of the line."""
    time: Annotated[float, Field(allow_inf_nan=False)]
    annotator: Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
    rollout: Annotated[str, Field(min_length=1, max_length=200)]
    text_sha256: str
    """Digest of the completion that the offsets refer to."""
    done: bool = False
    """The annotation is complete: a behaviour without spans has count 0. Until then it has no count."""
    spans: tuple[LabelledSpan, ...] = ()
    """The spans of the person. Those of one behaviour do not overlap."""
    open: tuple[LabelledSpan, ...] = ()
    """Proposals of a judge that are not decided yet; not counted."""
    rejected: tuple[LabelledSpan, ...] = ()
    """Rejected proposals, which are not proposed again."""
    basis: str = ""
    """Id of the judge run whose spans were proposed last."""
    adjudicator: Annotated[str, Field(max_length=200)] = ""
    """Of an adjudication: who decided."""
    considered: tuple[str, ...] = ()
    """Of an adjudication: ids of the annotation lines it was decided from."""

    @property
    def is_adjudication(self) -> bool:
        """Whether it is a final label decided by an adjudicator."""
        return self.annotator == ADJUDICATED

    @property
    def stamp(self) -> str:
        """Sort key of lines: the greatest counts."""
        return f"{self.time:020.6f} {self.id}"

    @property
    def empty(self) -> bool:
        """Whether nothing is left of the annotation: it was begun and undone."""
        return not (self.done or self.spans or self.open or self.rejected)

    @property
    def behaviors(self) -> tuple[Behavior, ...]:
        """The behaviours it is about: those of the sets its spans belong to, the four habits if it has none."""
        return behaviors_in_use(span.behavior for span in (*self.spans, *self.open, *self.rejected))

    def status(self, behavior: Behavior) -> JudgeStatus:
        """Return `ok` if the behaviour is judged: the trace is done, or has spans of it and no open proposal."""
        if self.done:
            return "ok"
        mine = any(span.behavior == behavior for span in self.spans)
        return "ok" if mine and all(span.behavior != behavior for span in self.open) else "unjudged"

    def count(self, behavior: Behavior) -> int | None:
        """Return the number of spans that are neither weak nor repeat; None if the behaviour is not judged."""
        if self.status(behavior) != "ok":
            return None
        return sum(span.behavior == behavior and not (span.weak or span.repeat) for span in self.spans)

    def spans_of(self, behavior: Behavior) -> tuple[Span, ...]:
        """Return the spans of a behaviour, without their label."""
        return tuple(Span(**span.model_dump(exclude={"behavior"})) for span in self.spans if span.behavior == behavior)


def human_judge_run(annotator: str) -> JudgeRun:
    """Return the judge run of a person."""
    return judge_run(HUMAN, params={"annotator": annotator})


def annotator_of(run: JudgeRun) -> str | None:
    """Return the annotator of a judge run of kind `human`; None for other runs."""
    return str(run.params.get("annotator", "")) if run.judge == HUMAN else None


def new_annotation(
    rollout: str, text: str, annotator: str, *, after: HumanAnnotation | None = None, **fields: Any
) -> HumanAnnotation:
    """Make an annotation with the current time, but later than `after` even if the clock went back.

    Args:
        rollout: full id.
        text: its completion.
        annotator: `USER@HOST`, or a name given by an import.
        after: the annotation it replaces.
        fields: `done`, `spans`, `open`, `rejected`, `basis`, `adjudicator`, `considered`.

    Raises:
        InvalidInput: the name of the annotator or the id of the rollout is empty or longer than 200 characters.
    """
    now = time.time()
    try:
        return HumanAnnotation(
            id=uuid.uuid4().hex,
            time=now if after is None else max(now, after.time + 1e-4),
            annotator=annotator,
            rollout=rollout,
            text_sha256=text_sha256(text),
            **fields,
        )
    except ValidationError as error:
        raise InvalidInput(f"the annotation cannot be stored: {_first_fault(error)}") from error


def check_annotation(annotation: HumanAnnotation, text: str) -> None:
    """Check an annotation against its text.

    Raises:
        InvalidInput: the text is another one; a span has no offsets, is outside the text or does not quote it; two
            spans of one behaviour overlap.
    """
    if annotation.text_sha256 != text_sha256(text):
        raise InvalidInput(f"the annotation of {annotation.rollout} is of another text")
    for span in (*annotation.spans, *annotation.open, *annotation.rejected):
        _check_place(span, text)
    _check_overlap(annotation)


def why_not_counted(annotation: HumanAnnotation, text: str) -> str | None:
    """Return in one line why an annotation does not fit its text, so that it counts nowhere; None if it fits."""
    try:
        check_annotation(annotation, text)
    except InvalidInput as error:
        return error.summary
    return None


def _check_overlap(annotation: HumanAnnotation) -> None:
    overlap = find_overlap(annotation.spans)
    if overlap is not None:
        one, other = overlap
        raise InvalidInput(
            f"two {one.behavior} spans overlap: {one.start}:{one.end} and {other.start}:{other.end}",
            remedy="Spans of one behaviour do not overlap; those of different behaviours may.",
        )


def find_overlap(spans: Sequence[LabelledSpan]) -> tuple[LabelledSpan, LabelledSpan] | None:
    """Return two spans of one behaviour that overlap, or None."""
    for behavior in BEHAVIORS:
        own = sorted((span for span in spans if span.behavior == behavior), key=lambda span: span.start or 0)
        for one, other in pairwise(own):
            if one.end is not None and other.start is not None and other.start < one.end:
                return one, other
    return None


def _check_place(span: LabelledSpan, text: str) -> None:
    if span.start is None or span.end is None:
        raise InvalidInput("a span of an annotation needs offsets")
    if span.end > len(text):
        raise InvalidInput(f"span {span.start}:{span.end} ends beyond the text of {len(text)} characters")
    if text[span.start : span.end] != span.quote:
        raise InvalidInput(f"the text at {span.start}:{span.end} is not the quote of the span")


def human_fields(annotation: HumanAnnotation, address: int) -> list[JudgementFields | None]:
    """Return the judgements of an annotation, one per behaviour; None for other sets than those of its spans."""
    fields: list[JudgementFields | None] = []
    judged = annotation.behaviors
    for behavior in BEHAVIORS:
        if behavior not in judged:
            fields.append(None)
            continue
        ranges = [
            (span.start, span.end)
            for span in annotation.spans
            if span.behavior == behavior and span.start is not None and span.end is not None
        ]
        status = STATUS_LETTERS[annotation.status(behavior)]
        fields.append(JudgementFields(status, annotation.count(behavior), ranges, 0, address))
    return fields


def append_annotations(workspace: Workspace, annotations: Iterable[HumanAnnotation]) -> None:
    """Append annotations to this user's file; they are on disk when it returns.

    Raises:
        MissingRequirement: the workspace cannot be written.
    """
    data = b"".join(
        json.dumps(one.model_dump(mode="json", exclude_defaults=True)).encode() + b"\n" for one in annotations
    )
    if data:
        append_lines(own_file(workspace, FOLDER), data, "the annotation")


def read_annotation(data: bytes) -> HumanAnnotation:
    """Decode an annotation line, and check what can be checked without its text.

    Raises:
        ValueError: it is not a valid annotation; the message says why in one line.
    """
    raw = parse_line(data)
    try:
        one = HumanAnnotation.model_validate(raw)
    except ValidationError as error:
        raise ValueError(_first_fault(error)) from error
    misspelt = misspelt_field(raw, HumanAnnotation.model_fields)
    if misspelt is not None:
        raise ValueError(f"{misspelt[0]}: unknown field; is {misspelt[1]} meant?")
    try:
        _check_overlap(one)
    except InvalidInput as error:
        raise ValueError(error.summary) from error
    return one


def _first_fault(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def annotation_files(workspace: Workspace) -> list[Path]:
    """Return the annotation files of all people, sorted by name."""
    folder = workspace.path / FOLDER
    return sorted(path for path in folder.glob("*.jsonl") if path.is_file()) if folder.is_dir() else []


def latest_annotations(workspace: Workspace) -> Iterator[HumanAnnotation]:
    """Read the current annotations from the files: one per rollout and person, without empty ones."""
    latest: dict[tuple[str, str], HumanAnnotation] = {}
    for path in annotation_files(workspace):
        for line in complete_lines(path):
            try:
                one = read_annotation(line.data)
            except ValueError:
                continue
            known = latest.get((one.annotator, one.rollout))
            if known is None or known.stamp < one.stamp:
                latest[one.annotator, one.rollout] = one
    return (latest[place] for place in sorted(latest) if not latest[place].empty)


def unreadable_annotations(workspace: Workspace) -> list[str]:
    """Describe the lines of annotation files that count nowhere: file, line number, reason."""
    found = []
    for path in annotation_files(workspace):
        where = f"{FOLDER}/{path.name}"
        *lines, tail = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                read_annotation(line)
            except ValueError as error:
                found.append(f"{where}, line {number} is not counted: {error}")
        if tail.strip():
            found.append(f"{where}, line {len(lines) + 1} is not counted: the last line has no newline at its end")
    return found
