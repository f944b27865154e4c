"""What people say of traces: annotations, in append-only files of the workspace, and as verdicts of a judge run.

`annotations/USER@HOST.jsonl`: each line is the whole annotation of one rollout by one person as it stood then. The
latest line holds, by the time in it and then its id. No line says anything of what judges said.
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
from cogtui.store.user_data.append_log import append_lines, own_file
from cogtui.store.values.encodings import STATUS_LETTERS
from jobs.workspace import Workspace
from pipelines.behaviors.judge import judge_run
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_in_use
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, JudgeRun, JudgeStatus, LabelledSpan, Span, text_sha256
from pipelines.streams import complete_lines, parse_line

FOLDER: Final = "annotations"
HUMAN: Final = "human"


class HumanAnnotation(BaseModel):
    """One line: what somebody says of one rollout, whole."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    v: int = 1
    id: Annotated[str, Field(min_length=1)]
    """Of the line, unique."""
    time: Annotated[float, Field(allow_inf_nan=False)]
    annotator: Annotated[str, Field(min_length=1, max_length=200)]
    rollout: Annotated[str, Field(min_length=1, max_length=200)]
    text_sha256: str
    """Of the completion that the offsets are of."""
    done: bool = False
    """There are no more behaviours: one without a span has a count of zero. Until then it has none."""
    spans: tuple[LabelledSpan, ...] = ()
    """The person's own. Those of one behaviour do not overlap."""
    open: tuple[LabelledSpan, ...] = ()
    """Proposals of a judge that are not decided; they count nowhere."""
    rejected: tuple[LabelledSpan, ...] = ()
    """Proposals refused, so that they are not proposed again."""
    basis: str = ""
    """Id of the judge run whose spans were proposed last."""

    @property
    def stamp(self) -> str:
        """Orders lines: the greatest holds."""
        return f"{self.time:020.6f} {self.id}"

    @property
    def empty(self) -> bool:
        """Whether nothing is said: it was begun and taken back."""
        return not (self.done or self.spans or self.open or self.rejected)

    @property
    def behaviors(self) -> tuple[Behavior, ...]:
        """The behaviours it is about: those of the sets its spans belong to, the four habits if it has none."""
        return behaviors_in_use(span.behavior for span in (*self.spans, *self.open, *self.rejected))

    def status(self, behavior: Behavior) -> JudgeStatus:
        """`ok` once the behaviour is judged: the trace is done, or it has spans and no proposal of it is open."""
        if self.done:
            return "ok"
        mine = any(span.behavior == behavior for span in self.spans)
        return "ok" if mine and all(span.behavior != behavior for span in self.open) else "unjudged"

    def count(self, behavior: Behavior) -> int | None:
        """Spans that are neither weak nor repeat; None where the behaviour is not judged."""
        if self.status(behavior) != "ok":
            return None
        return sum(span.behavior == behavior and not (span.weak or span.repeat) for span in self.spans)

    def spans_of(self, behavior: Behavior) -> tuple[Span, ...]:
        """The spans of a behaviour, without their label."""
        return tuple(Span(**span.model_dump(exclude={"behavior"})) for span in self.spans if span.behavior == behavior)


def human_judge_run(annotator: str) -> JudgeRun:
    """The judge run that a person is."""
    return judge_run(HUMAN, params={"annotator": annotator})


def annotator_of(run: JudgeRun) -> str | None:
    """Who a judge run of kind `human` is; None of others."""
    return str(run.params.get("annotator", "")) if run.judge == HUMAN else None


def new_annotation(
    rollout: str, text: str, annotator: str, *, after: HumanAnnotation | None = None, **fields: Any
) -> HumanAnnotation:
    """An annotation of now, later than `after` even if the clock went back meanwhile.

    Args:
        rollout: full id.
        text: its completion.
        annotator: `USER@HOST`, or whoever an import names.
        after: the one it takes the place of.
        fields: `done`, `spans`, `open`, `rejected`, `basis`.
    """
    now = time.time()
    return HumanAnnotation(
        id=uuid.uuid4().hex,
        time=now if after is None else max(now, after.time + 1e-4),
        annotator=annotator,
        rollout=rollout,
        text_sha256=text_sha256(text),
        **fields,
    )


def check_annotation(annotation: HumanAnnotation, text: str) -> None:
    """Checks an annotation against the text it is of.

    Raises:
        InvalidInput: another text; a span without a place, outside the text, or that does not quote it; two spans of
            one behaviour that overlap.
    """
    if annotation.text_sha256 != text_sha256(text):
        raise InvalidInput(f"the annotation of {annotation.rollout} is of another text")
    for span in (*annotation.spans, *annotation.open, *annotation.rejected):
        _check_place(span, text)
    overlap = find_overlap(annotation.spans)
    if overlap is not None:
        one, other = overlap
        raise InvalidInput(
            f"two {one.behavior} spans overlap: {one.start}:{one.end} and {other.start}:{other.end}",
            remedy="Spans of one behaviour do not overlap; those of different behaviours may.",
        )


def find_overlap(spans: Sequence[LabelledSpan]) -> tuple[LabelledSpan, LabelledSpan] | None:
    """Two spans of one behaviour that share a character; None where there are none."""
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


def human_fields(annotation: HumanAnnotation, at: int) -> list[JudgementFields | None]:
    """Return what an annotation says, by behaviour; None for those of a set it is not about."""
    said: list[JudgementFields | None] = []
    about = annotation.behaviors
    for behavior in BEHAVIORS:
        if behavior not in about:
            said.append(None)
            continue
        ranges = [
            (span.start, span.end)
            for span in annotation.spans
            if span.behavior == behavior and span.start is not None and span.end is not None
        ]
        said.append((STATUS_LETTERS[annotation.status(behavior)], annotation.count(behavior), ranges, 0, at))
    return said


def append_annotations(workspace: Workspace, annotations: Iterable[HumanAnnotation]) -> None:
    """Writes annotations to this user's file, whole lines and on the disk before it returns.

    Raises:
        MissingRequirement: the workspace cannot be written.
    """
    data = b"".join(
        json.dumps(one.model_dump(mode="json", exclude_defaults=True)).encode() + b"\n" for one in annotations
    )
    if data:
        append_lines(own_file(workspace, FOLDER), data, "the annotation")


def read_annotation(data: bytes) -> HumanAnnotation:
    """The annotation on a line.

    Raises:
        ValueError: it holds none; says why in one line.
    """
    try:
        return HumanAnnotation.model_validate(parse_line(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def annotation_files(workspace: Workspace) -> list[Path]:
    """The files of all people, sorted by name."""
    folder = workspace.path / FOLDER
    return sorted(folder.glob("*.jsonl")) if folder.is_dir() else []


def latest_annotations(workspace: Workspace) -> Iterator[HumanAnnotation]:
    """The annotations as they stand, straight from the files: one a rollout and person, those taken back left out."""
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
