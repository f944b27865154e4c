"""The SQL statements that write records, and the fields of a judgement as they write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from cogtui.store.columns import COMPUTED_COLUMNS
from cogtui.store.db.schema import DISTANCE_COLUMNS
from cogtui.store.stage_files.decode import JudgementLine, LabelledSpanLine, SpanLine
from cogtui.store.values.encodings import STATUS_LETTERS
from cogtui.store.values.span_distances import NO_DISTANCE, SET_SLICES, span_distances
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_in_use
from pipelines.records import Behavior

N: Final = len(BEHAVIORS)
_COUNTS: Final = ", ".join(BEHAVIORS)
_COMPUTED: Final = "".join(f"{column.column}, " for column in COMPUTED_COLUMNS)
ADDRESS_BITS: Final = 40
ADDRESS_MASK: Final = (1 << ADDRESS_BITS) - 1
"""The address of a line is `file id << ADDRESS_BITS | byte offset`."""
MISSING: Final = "-"
BEHAVIOR_NUMBERS: Final[dict[Behavior, int]] = {behavior: number for number, behavior in enumerate(BEHAVIORS)}


def _slots(count: int) -> str:
    return ", ".join("?" * count)


INSERT_RECORD: Final = f"INSERT OR IGNORE INTO record (serial, uid, problem, file, byte) VALUES ({_slots(5)})"
INSERT_ROLLOUT: Final = f"""INSERT INTO rollout (serial, series, step, reward, correct, n_tokens, length, sample,
    finish, has_answer, ordinal, problem_id, {_COMPUTED}task, judge, judged, unaligned, {_COUNTS}, has_note)
    VALUES ({_slots(16 + len(COMPUTED_COLUMNS) + N)}, 0)"""
INSERT_JUDGEMENT: Final = f"""INSERT OR REPLACE INTO rollout_judgement (serial, run, statuses, {_COUNTS}, unaligned,
    {", ".join(f"address_{behavior}" for behavior in BEHAVIORS)}) VALUES ({_slots(4 + 2 * N)})"""
UPDATE_SHOWN: Final = f"""UPDATE rollout SET judge = ?, judged = ?, unaligned = ?,
    {", ".join(f"{behavior} = ?" for behavior in BEHAVIORS)} WHERE serial = ?"""
INSERT_DISTANCES: Final = f"""INSERT OR REPLACE INTO span_distance (serial, {", ".join(DISTANCE_COLUMNS)})
    VALUES (?, {", ".join([f"nullif(?, {NO_DISTANCE})"] * len(DISTANCE_COLUMNS))})"""

JUDGED_NAMES: Final = ("none", "ok", "partial", "failed")
"""Names of the codes of `rollout.judged`."""
MAX_OFFSET: Final = 1 << 40
"""Offsets of spans are below this; no text is that long."""

Counts = tuple[int | None, ...]
"""By behaviour; None if the judgement failed or is missing."""
LineAddresses = tuple[int | None, ...]
"""By behaviour the address of its line; None if there is none."""
SpanDistances = tuple[int, ...] | None
"""Columns of `span_distance`, with `NO_DISTANCE` for NULL; None if fewer than two spans are aligned."""
Ranges = list[tuple[int, int]]
"""(start, end) of aligned spans, in code points."""


class JudgementFields(NamedTuple):
    """The fields of one judgement: one judge run, rollout and behaviour."""

    status: str
    """Letter of `STATUS_LETTERS`, or `MISSING`."""
    declared_count: int | None
    """As the judge gave it; None unless the status is ok."""
    ranges: Ranges
    unaligned: int
    """Number of spans without offsets."""
    address: int | None


class RolloutJudgement(Struct, array_like=True, gc=False):
    """The judgements of one rollout by one judge run: a row of `rollout_judgement`."""

    statuses: str
    """One letter per behaviour."""
    counts: Counts
    unaligned: int
    addresses: LineAddresses
    distances: SpanDistances


def line_address(file: int, byte: int) -> int:
    """Return the address of the line of a file that starts at a byte offset."""
    return file << ADDRESS_BITS | byte


def split_address(address: int) -> tuple[int, int]:
    """Return file id and byte offset of an address."""
    return address >> ADDRESS_BITS, address & ADDRESS_MASK


def judgement_fields(line: JudgementLine, address: int) -> JudgementFields:
    """Return the fields of a judgement line.

    Raises:
        ValueError: count and status, or the offsets of a span, contradict each other.
    """
    status, count = line.status, line.count
    if (count is None) == (status == "ok"):
        raise ValueError("a judgement has a count exactly when its status is ok")
    ranges, unaligned = _aligned_ranges(line.spans)
    return JudgementFields(STATUS_LETTERS[status], count, ranges, unaligned, address)


def teacher_fields(spans: Sequence[LabelledSpanLine], address: int) -> list[JudgementFields | None]:
    """Return the judgements of a teacher by its own spans, one per behaviour; None for other sets than theirs.

    Raises:
        ValueError: the offsets of a span are not a range.
    """
    fields: list[JudgementFields | None] = []
    judged = behaviors_in_use(span.behavior for span in spans)
    for behavior in BEHAVIORS:
        own = [span for span in spans if span.behavior == behavior]
        one = JudgementFields(STATUS_LETTERS["ok"], len(own), *_aligned_ranges(own), address)
        fields.append(one if behavior in judged else None)
    return fields


_NO_LINE: Final = JudgementFields(MISSING, None, [], 0, None)


def rollout_judgement(fields: Sequence[JudgementFields | None]) -> RolloutJudgement:
    """Combine the judgements of one rollout and judge run, one per behaviour, None where there is none."""
    lines = [one or _NO_LINE for one in fields]
    ranges = [one.ranges for one in lines]
    return RolloutJudgement(
        "".join([one.status for one in lines]),
        tuple([one.declared_count for one in lines]),
        sum([one.unaligned for one in lines]),
        tuple([one.address for one in lines]),
        span_distances(ranges) if sum(map(len, ranges)) > 1 else None,
    )


def judged_code(judgement: RolloutJudgement) -> int:
    """Return the code of `rollout.judged`: how many behaviours of the judged sets have a count."""
    counts: list[int | None] = []
    for part in SET_SLICES:
        if _is_about(judgement, part):
            counts += judgement.counts[part]
    missing = counts.count(None)
    return 1 if counts and not missing else 2 if missing < len(counts) else 3


def merge_sets(judgements: Sequence[tuple[int, RolloutJudgement]]) -> tuple[int, RolloutJudgement]:
    """Merge the judgements of a rollout into the one its row shows: for each behaviour set the first about it.

    Args:
        judgements: judge run and judgement, the preferred run first.

    Returns:
        The run shown for the first set that is judged, and the merged judgement.
    """
    chosen = [next((one for one in judgements if _is_about(one[1], part)), None) for part in SET_SLICES]
    found = [one for one in chosen if one is not None]
    if not found:
        return judgements[0]
    if all(run == found[0][0] for run, _ in found):
        return found[0]
    statuses = ""
    counts: Counts = ()
    addresses: LineAddresses = ()
    distances: tuple[int, ...] = ()
    for part, pair in zip(SET_SLICES, chosen, strict=True):
        size = part.stop - part.start
        one = pair[1] if pair else None
        statuses += one.statuses[part] if one else MISSING * size
        counts += one.counts[part] if one else (None,) * size
        addresses += one.addresses[part] if one else (None,) * size
        own = one.distances if one else None
        distances += own[len(distances) : len(distances) + size**2] if own else (NO_DISTANCE,) * size**2
    unaligned = sum(one.unaligned for one in dict(found).values())
    any_distance = any(one.distances is not None for _, one in found)
    return found[0][0], RolloutJudgement(statuses, counts, unaligned, addresses, distances if any_distance else None)


def _is_about(judgement: RolloutJudgement, part: slice) -> bool:
    return bool(judgement.statuses[part].strip(MISSING))


def judgement_row(serial: int, run: int, judgement: RolloutJudgement) -> tuple[Any, ...]:
    """Return the values of `INSERT_JUDGEMENT`."""
    return (serial, run, judgement.statuses, *judgement.counts, judgement.unaligned, *judgement.addresses)


UNJUDGED: Final[tuple[Any, ...]] = (None, 0, None, *[None] * N)
"""`shown_columns` of a rollout without judgements."""


def shown_columns(run: int, judgement: RolloutJudgement) -> tuple[Any, ...]:
    """Return the columns of `rollout` that show a judgement, for `INSERT_ROLLOUT` and `UPDATE_SHOWN`."""
    counts = judgement.counts
    return (run, 1 if None not in counts else judged_code(judgement), judgement.unaligned, *counts)


def _aligned_ranges(spans: Iterable[SpanLine | LabelledSpanLine]) -> tuple[Ranges, int]:
    """The ranges of the aligned spans, and the number of spans without offsets."""
    ranges: Ranges = []
    unaligned = 0
    for span in spans:
        start, end = span.start, span.end
        if start is None or end is None:
            if start is not end:
                raise ValueError(f"not a range: {start}:{end}")
            unaligned += 1
        elif 0 <= start < end < MAX_OFFSET:
            ranges.append((start, end))
        else:
            raise ValueError(f"not a range: {start}:{end}")
    return ranges, unaligned
