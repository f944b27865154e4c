"""Gold files: traces with spans that people placed, one JSON object a line (docs/judges.md)."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationError

from pipelines.behaviors.markup import parse_marked
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import InvalidInput, NotFound
from pipelines.field_names import misspelt_field
from pipelines.files import write_atomic
from pipelines.records import LabelledSpan, Record, countdown_fields, upgrade_record

_REMEDY: Final = "Offsets are code points into `text`, half-open; text[start:end] must equal quote."
_HEADER: Final = "=== "


class GoldTrace(Record):
    """One annotated trace."""

    id: str
    task: str
    """Name of the task; empty where the text answers no problem of a known task."""
    problem: dict[str, Any]
    """The problem as the task's own JSON."""
    text: str
    """The completion, exactly as the model wrote it."""
    spans: tuple[LabelledSpan, ...] = ()
    style: str = ""
    model: str = ""
    source: str = ""
    licence: str = ""
    annotator: str = ""
    annotated: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Time of annotation in seconds since the epoch; None if unknown."""
    done: bool = True
    """False while not all behaviours were looked for: a behaviour without a span is then missing, not zero."""

    @property
    def problem_id(self) -> str:
        """Id of its problem: traces of one problem are not independent when intervals are drawn."""
        return str(self.problem.get("id", ""))


def read_gold(path: Path) -> list[GoldTrace]:
    """Read the traces of a gold file and check every span against its text.

    A row needs `spans`, which is empty where nothing was found. Unknown fields are ignored, unless one looks like a
    known field that the row lacks.

    Raises:
        NotFound: there is no such file.
        InvalidInput: a row cannot be used; names the row and the field, e.g. `row 3: spans[2].quote`.
    """
    return list(_read(path))


def _read(path: Path) -> Iterator[GoldTrace]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise NotFound(f"cannot read the gold file {path}: {error.strerror}") from error
    seen: dict[str, int] = {}
    for row, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        trace = _parse_row(path, row, line)
        if trace.id in seen:
            raise InvalidInput(f"{path}, row {row}: id: {trace.id!r} is also the id of row {seen[trace.id]}")
        seen[trace.id] = row
        yield trace


def _parse_row(path: Path, row: int, line: bytes) -> GoldTrace:
    where = f"{path}, row {row}"
    try:
        raw = json.loads(line.decode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise InvalidInput(f"{where}: not JSON ({error})") from error
    if not isinstance(raw, dict):
        raise InvalidInput(f"{where}: not a JSON object")
    if "problem" not in raw and "numbers" not in raw:
        raise InvalidInput(
            f"{where}: numbers: missing, and so is problem",
            remedy="A row needs task and problem, or numbers and target.",
        )
    try:
        raw = upgrade_record(raw)  # rows written before there were other tasks have numbers and target
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}") from error
    misspelt = misspelt_field(raw, GoldTrace.model_fields)
    if misspelt is not None:
        wrong, meant = misspelt
        raise InvalidInput(
            f"{where}: {wrong}: unknown field; is {meant} meant?", remedy=f"Rename it to {meant}, or remove it."
        )
    if "spans" not in raw:
        raise InvalidInput(
            f"{where}: spans: missing, which says nothing about behaviours",
            remedy='Write "spans": [] where somebody looked and found none; remove rows that nobody annotated.',
        )
    known: dict[str, Any] = {name: value for name, value in raw.items() if name in GoldTrace.model_fields}
    try:
        trace = GoldTrace.model_validate(known)
    except ValidationError as error:
        lines = [f"{_field(item['loc'])}: {item['msg']}" for item in error.errors()]
        raise InvalidInput(f"{where}: {lines[0]}", detail="\n".join(lines[1:]), remedy=_REMEDY) from error
    for index, span in enumerate(trace.spans):
        _check_offsets(trace, span, f"{where}: spans[{index}]")
    return trace


def _check_offsets(trace: GoldTrace, span: LabelledSpan, where: str) -> None:
    if span.behavior not in BEHAVIOR_LETTERS:
        raise InvalidInput(
            f"{where}.behavior: {span.behavior!r} is a behaviour of no set",
            remedy=f"Behaviours: {', '.join(BEHAVIOR_LETTERS)}.",
        )
    if span.start is None or span.end is None:
        raise InvalidInput(f"{where}.start: a gold span needs offsets", remedy=_REMEDY)
    if span.end > len(trace.text):
        raise InvalidInput(
            f"{where}.end: {span.end} lies beyond the text of {len(trace.text)} characters (trace {trace.id})",
            remedy=_REMEDY,
        )
    found = trace.text[span.start : span.end]
    if found != span.quote:
        raise InvalidInput(
            f"{where}.quote: the text at {span.start}:{span.end} is not the quote (trace {trace.id})",
            detail=f"text:  {found[:80]!r}\nquote: {span.quote[:80]!r}",
            remedy=_REMEDY,
        )


def _field(location: tuple[int | str, ...]) -> str:
    name = ""
    for part in location:
        name += f"[{part}]" if isinstance(part, int) else f".{part}" if name else part
    return name or "row"


def write_gold(path: Path, traces: Iterable[GoldTrace]) -> None:
    """Write a gold file that `read_gold` reads back unchanged."""
    write_atomic(path, gold_lines(traces))


def gold_lines(traces: Iterable[GoldTrace]) -> str:
    """Return the text of a gold file."""
    return "".join(f"{_row(trace)}\n" for trace in traces)


def _row(trace: GoldTrace) -> str:
    row = trace.model_dump(mode="json", exclude={"spans"}, exclude_defaults=True)
    row["spans"] = [_span(span) for span in trace.spans]
    return json.dumps(row)  # ASCII: control characters, U+2028 and lone surrogates survive every editor


def _span(span: LabelledSpan) -> dict[str, Any]:
    place: dict[str, Any] = {"behavior": span.behavior, "start": span.start, "end": span.end, "quote": span.quote}
    return place | span.model_dump(mode="json", exclude={*place, "score"}, exclude_defaults=True)


def read_annotated(path: Path) -> list[GoldTrace]:
    """Read traces in the annotated form: `=== ID | STYLE | NUMBERS | TARGET`, then the marked text.

    Raises:
        InvalidInput: a header or a mark is wrong; names the trace.
    """
    traces = []
    for block in f"\n{path.read_text(encoding='utf-8')}".split(f"\n{_HEADER}")[1:]:
        header, _, marked = block.partition("\n")
        fields = [field.strip() for field in header.split("|")]
        try:
            name, style, numbers, target = fields
            text, spans = parse_marked(marked.rstrip("\n"))
            traces.append(
                GoldTrace(
                    id=name,
                    style=style,
                    **countdown_fields([int(number) for number in numbers.split()], int(target)),
                    text=text,
                    spans=spans,
                    annotator="cogtui",
                )
            )
        except (ValueError, InvalidInput) as error:
            raise InvalidInput(f"{path}, trace {fields[0]}: {error}") from error
    return traces
