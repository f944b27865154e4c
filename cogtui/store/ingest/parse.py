"""Pieces of files into plain tuples, ready to be written: the part of an ingest that needs no database.

It can run in this process or in one beside it (`parser_process`); nothing here depends on which.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from cogtui.store.db.statements import ADDRESS_BITS, RolloutJudgement, rollout_judgement, teacher_fields
from cogtui.store.ingest.judgements_by_rollout import JudgementGrouper, JudgementRecord
from cogtui.store.stage_files.decode import (
    RolloutLine,
    TraceLine,
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

PRIMING_SPLIT: Final = "priming"
_BITS: Final = {None: None, False: 0, True: 1}
"""`sqlite3` takes five times as long for a bool as for a number."""


class FileToParse(NamedTuple):
    """A file with something to read."""

    id: int
    place: int
    """Number, and place of its first byte in the order of all records."""
    family: Family
    path: Path
    offset: int
    """Where to begin, in bytes."""
    size: int
    own_labels: bool
    """Whether records name their own condition and seed, as those of an import do."""


RolloutFields = tuple[str, str, int, str, str | None, int | None, tuple[Any, ...], tuple[str, RolloutJudgement] | None]
"""id, numbers, byte, split, own condition, own seed, columns of `rollout` from step to problem, and for a trace its
teacher and what that says."""
MetricFields = tuple[int, str, float]
"""Step, name, value."""


class ParsedChunk(NamedTuple):
    """The records of a piece of a file."""

    start: int
    end: int
    """Where the next piece begins; `start` where nothing complete was there."""
    head: str
    """Digest of the file's first bytes, by which it is known again."""
    lines: int
    bad: list[tuple[int, str]]
    """Byte and reason of each line that holds no record."""
    rollouts: list[RolloutFields]
    texts: list[str]
    """Of the rollouts, for the words; empty once those are written."""
    judgements: list[JudgementRecord]
    metrics: list[MetricFields]


def parse_files(
    files: Sequence[FileToParse], numbers: Iterable[int], first_bytes: int, piece_bytes: int
) -> Iterator[tuple[int, ParsedChunk]]:
    """What is in some files, one after the other, piece by piece, with the number of the file each piece is of.

    Args:
        files: all there are.
        numbers: which of them, in order.
        first_bytes: size of the first piece; the following double until they have `piece_bytes`.
    """
    limit = first_bytes
    for number in numbers:
        offset = files[number].offset
        while True:
            try:
                parsed = parse_chunk(files[number], offset, limit)
            except FileNotFoundError:  # deleted since it was listed; the next look finds that
                break
            if parsed.end == offset:
                break
            offset = parsed.end
            limit = min(limit * 2, piece_bytes)
            yield number, parsed


def parse_chunk(file: FileToParse, offset: int, limit: int) -> ParsedChunk:
    """Reads and checks complete lines of a file, about `limit` bytes of them.

    Raises:
        OSError: the file cannot be read.
    """
    parsed = ParsedChunk(offset, offset, "", 0, [], [], [], [], [])
    end, lines = offset, 0
    verdicts = JudgementGrouper()
    with no_garbage_collection():
        for block in read_blocks(file.path, offset, limit):
            end = block.end
            lines += len(block.lines)
            if file.family == "judgements":
                _judgements(block, file, verdicts, parsed.bad)
            elif file.family == "metrics":
                _metrics(block, parsed)
            else:
                _rollouts(block, file, parsed)
        parsed.judgements.extend(verdicts.finished())
    return parsed._replace(end=end, head=head_digest(file.path, end), lines=lines)


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Millions of small objects and no cycle among them: looking for cycles would cost a third of the time."""
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
            _refuse(parsed.bad, line, start, error)


def _refuse(bad: list[tuple[int, str]], line: bytes, start: int, error: ValueError) -> None:
    if not line.isspace():  # a blank line is no record, and no mistake
        bad.append((start, str(error)))


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
    columns = (
        record.step,
        record.reward,
        _BITS[record.correct],
        n_tokens,
        len(record.completion),
        record.sample,
        finish,
        0 if record.answer is None else 1,
        _target(record),
        record_ordinal(file.place, start),
        record.problem_id,
    )
    return record.id, _numbers(record), start, record.split, condition, seed, columns, None


def _numbers(record: RolloutLine | TraceLine) -> str:
    numbers = (record.problem or {}).get("numbers", ())
    return " ".join(map(str, numbers)) if isinstance(numbers, list) else ""


def _target(record: RolloutLine | TraceLine) -> int:
    target = (record.problem or {}).get("target", 0)
    return target if type(target) is int and abs(target) < 2**63 else 0


def _trace_fields(record: TraceLine, start: int, file: FileToParse) -> RolloutFields:
    """A priming trace as a rollout of its own split."""
    finish, answered = FINISH_CODES["stop"], int(record.answer is not None)
    columns = (
        0, record.reward, _BITS[record.correct], None, len(record.completion), 0, finish, answered, _target(record),
        record_ordinal(file.place, start), record.problem_id,
    )  # fmt: skip
    verdict = rollout_judgement(teacher_fields(record.spans, file.id << ADDRESS_BITS | start))
    # Only who put the behaviours in can say that there is none; an unlabelled trace is not judged.
    taught = (record.teacher, verdict) if record.spans or record.teacher == "symbolic" else None
    return record.id, _numbers(record), start, PRIMING_SPLIT, record.condition, None, columns, taught


def _judgements(block: LineBlock, file: FileToParse, verdicts: JudgementGrouper, bad: list[tuple[int, str]]) -> None:
    base = file.id << ADDRESS_BITS
    try:
        records = read_judgements(block.data)
        if len(records) != len(block.starts):
            raise ValueError("not one record a line")
        verdicts.add_all(records, [base | start for start in block.starts])
    except ValueError:  # one of them is bad: which, and why. What was added already is not added again.
        for line, start in zip(block.lines, block.starts, strict=True):
            try:
                verdicts.add(read_judgement(line), base | start)
            except ValueError as error:
                _refuse(bad, line, start, error)


def _metrics(block: LineBlock, parsed: ParsedChunk) -> None:
    for line, start in zip(block.lines, block.starts, strict=True):
        try:
            record = read_metric(line)
        except ValueError as error:
            _refuse(parsed.bad, line, start, error)
            continue
        parsed.metrics.extend([(record.step, name, value) for name, value in record.values.items()])


def searchable(text: str) -> str:
    """Text for the word index, which would end at the first NUL."""
    return text.replace("\x00", " ") if "\x00" in text else text


def _own_labels(meta: dict[str, Any]) -> tuple[str | None, int | None]:
    """Condition and seed that an imported record names itself."""
    condition, seed = meta.get("condition"), meta.get("seed")
    return (
        replace_surrogates(str(condition)) if condition is not None else None,
        seed if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) < 2**63 else None,
    )
