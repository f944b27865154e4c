"""Reading chunks of stream files into the fields that `INSERT` statements take; needs no database.

It runs in the writing process or in the helper process of a bulk load (`fts_process`).
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct

from cogtui.store.columns import COMPUTED_COLUMNS
from cogtui.store.db.statements import RolloutJudgement, line_address, rollout_judgement, teacher_fields
from cogtui.store.ingest.judgements_by_rollout import JudgementGrouper, JudgementRecord
from cogtui.store.stage_files.decode import (
    RolloutLine,
    TraceLine,
    encode_problem,
    read_judgement,
    read_judgements,
    read_metric,
    read_rollout,
    read_trace,
    replace_surrogates,
)
from cogtui.store.stage_files.line_reader import LineBlock, read_blocks
from cogtui.store.stage_files.scan import head_digest, record_ordinal
from cogtui.store.values.encodings import FINISH_CODES, FINISH_UNKNOWN, Family

_COMPUTE: Final = [column.compute for column in COMPUTED_COLUMNS if column.compute]
PRIMING_SPLIT: Final = "priming"
_BITS: Final = {None: None, False: 0, True: 1}
"""Codes of `correct`: binding a bool takes `sqlite3` five times as long as binding a number."""


class FileToParse(NamedTuple):
    """A file with unread bytes."""

    id: int
    first_ordinal: int
    family: Family
    path: Path
    offset: int
    """First unread byte."""
    size: int
    own_labels: bool
    """Whether records state their own condition and seed, as imported ones do."""


class RolloutColumns(Struct, array_like=True, gc=False):
    """The columns of `rollout` that come from the record, in the order of `INSERT_ROLLOUT`."""

    step: int
    reward: float | None
    correct: int | None
    n_tokens: int | None
    length: int
    sample: int
    finish: int
    has_answer: int
    ordinal: int
    problem_id: str


class TeacherJudgement(NamedTuple):
    """The spans that a teacher put into its own trace."""

    teacher: str
    judgement: RolloutJudgement


class RolloutFields(Struct, array_like=True, gc=False):
    """The indexed fields of a rollout or trace. A Struct takes two thirds of the time that a NamedTuple takes."""

    id: str
    task: str
    problem: str
    """As JSON, see `encode_problem`."""
    byte: int
    split: str
    condition: str | None
    """As the record states it; None means that of its stage."""
    seed: int | None
    columns: RolloutColumns
    computed: tuple[float | None, ...]
    """By `COMPUTED_COLUMNS`."""
    teacher: TeacherJudgement | None


class MetricFields(NamedTuple):
    """One value of a metric record."""

    step: int
    name: str
    value: float


class BadLineFields(NamedTuple):
    """A complete line that is not a valid record."""

    byte: int
    reason: str


class ParsedChunk(NamedTuple):
    """The records of consecutive lines of a file."""

    start: int
    end: int
    """First unread byte; equal to `start` if there was no complete line."""
    head: str
    """Digest of the first bytes of the file, which identifies it at the next look."""
    lines: int
    bad: list[BadLineFields]
    rollouts: list[RolloutFields]
    texts: list[str]
    """Completions of the rollouts; empty once the full-text index has them."""
    judgements: list[JudgementRecord]
    metrics: list[MetricFields]


def parse_files(
    files: Sequence[FileToParse], numbers: Iterable[int], first_bytes: int, chunk_bytes: int
) -> Iterator[tuple[int, ParsedChunk]]:
    """Parse files one after the other; yield each chunk with the position of its file in `files`.

    Args:
        files: all files.
        numbers: positions of the files to parse, in order.
        first_bytes: size of the first chunk; the size doubles up to `chunk_bytes`.
        chunk_bytes: size of the later chunks.
    """
    limit = first_bytes
    for number in numbers:
        offset = files[number].offset
        while True:
            try:
                parsed = parse_chunk(files[number], offset, limit)
            except OSError:
                # Deleted since it was listed, which the next scan finds, or unreadable: the other files are read, and
                # coverage shows what is missing.
                break
            if parsed.end == offset:
                break
            offset = parsed.end
            limit = min(limit * 2, chunk_bytes)
            yield number, parsed


def parse_chunk(file: FileToParse, offset: int, limit: int) -> ParsedChunk:
    """Parse about `limit` bytes of complete lines of a file.

    Raises:
        OSError: the file cannot be read.
    """
    parsed = ParsedChunk(offset, offset, "", 0, [], [], [], [], [])
    end, lines = offset, 0
    grouper = JudgementGrouper()
    with no_garbage_collection():
        for block in read_blocks(file.path, offset, limit):
            end = block.end
            lines += len(block.lines)
            if file.family == "judgements":
                _judgements(block, file, grouper, parsed.bad)
            elif file.family == "metrics":
                _metrics(block, parsed)
            else:
                _rollouts(block, file, parsed)
        parsed.judgements.extend(grouper.finished())
    return parsed._replace(end=end, head=head_digest(file.path, end), lines=lines)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection: millions of small objects without cycles, a third of the time of a parse."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _rollouts(block: LineBlock, file: FileToParse, parsed: ParsedChunk) -> None:
    is_trace = file.family == "traces"
    add, add_text = parsed.rollouts.append, parsed.texts.append
    for line, start in zip(block.lines, block.starts, strict=True):
        try:
            if is_trace:
                trace = read_trace(line)
                add(_trace_fields(trace, start, file))
                add_text(searchable(trace.completion))
            else:
                rollout = read_rollout(line)
                add(_rollout_fields(rollout, start, file))
                add_text(searchable(rollout.completion))
        except ValueError as error:
            _add_bad(parsed.bad, line, start, error)


def _add_bad(bad: list[BadLineFields], line: bytes, start: int, error: ValueError) -> None:
    if not line.isspace():  # blank lines are not errors
        bad.append(BadLineFields(start, str(error)))


def _rollout_fields(record: RolloutLine, start: int, file: FileToParse) -> RolloutFields:
    condition: str | None = None
    seed: int | None = None
    n_tokens: int | None = record.n_tokens
    finish = FINISH_CODES[record.finish_reason]
    if file.own_labels:
        meta = record.meta
        condition, seed = _own_labels(meta)
        unknown = meta.get("unknown")
        if isinstance(unknown, list):
            n_tokens = None if "n_tokens" in unknown else n_tokens
            finish = FINISH_UNKNOWN if "finish_reason" in unknown else finish
    columns = RolloutColumns(
        record.step,
        record.reward,
        _BITS[record.correct],
        n_tokens,
        len(record.completion),
        record.sample,
        finish,
        0 if record.answer is None else 1,
        record_ordinal(file.first_ordinal, start),
        record.problem_id,
    )
    problem = encode_problem(record.problem)
    return RolloutFields(
        record.id, record.task, problem, start, record.split, condition, seed, columns, _computed(record), None
    )


def _computed(record: RolloutLine | TraceLine) -> tuple[float | None, ...]:
    return tuple([compute(record) for compute in _COMPUTE])


def _trace_fields(record: TraceLine, start: int, file: FileToParse) -> RolloutFields:
    """The fields of a priming trace, which is a rollout of the split `priming`."""
    finish, answered = FINISH_CODES["stop"], int(record.answer is not None)
    columns = RolloutColumns(
        0, record.reward, _BITS[record.correct], None, len(record.completion), 0, finish, answered,
        record_ordinal(file.first_ordinal, start), record.problem_id,
    )  # fmt: skip
    judgement = rollout_judgement(teacher_fields(record.spans, line_address(file.id, start)))
    # A trace without spans is judged only if its teacher labels all behaviours, as the symbolic one does.
    labelled = bool(record.spans) or record.teacher == "symbolic"
    teacher = TeacherJudgement(record.teacher, judgement) if labelled else None
    problem = encode_problem(record.problem)
    return RolloutFields(
        record.id,
        record.task,
        problem,
        start,
        PRIMING_SPLIT,
        record.condition,
        None,
        columns,
        _computed(record),
        teacher,
    )


def _judgements(block: LineBlock, file: FileToParse, grouper: JudgementGrouper, bad: list[BadLineFields]) -> None:
    base = line_address(file.id, 0)
    try:
        records = read_judgements(block.data)
        if len(records) != len(block.starts):
            raise ValueError("the number of records is not the number of lines")
        grouper.add_all(records, [base | start for start in block.starts])
    except ValueError:  # find the bad lines; adding the others again changes nothing
        for line, start in zip(block.lines, block.starts, strict=True):
            try:
                grouper.add(read_judgement(line), base | start)
            except ValueError as error:
                _add_bad(bad, line, start, error)


def _metrics(block: LineBlock, parsed: ParsedChunk) -> None:
    for line, start in zip(block.lines, block.starts, strict=True):
        try:
            record = read_metric(line)
        except ValueError as error:
            _add_bad(parsed.bad, line, start, error)
            continue
        parsed.metrics.extend([MetricFields(record.step, name, value) for name, value in record.values.items()])


def searchable(text: str) -> str:
    """Replace NUL characters, at which FTS5 would end the text."""
    return text.replace("\x00", " ") if "\x00" in text else text


def _own_labels(meta: dict[str, Any]) -> tuple[str | None, int | None]:
    """The condition and seed that an imported record states."""
    condition, seed = meta.get("condition"), meta.get("seed")
    return (
        replace_surrogates(str(condition)) if condition is not None else None,
        seed if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) < 2**63 else None,
    )
