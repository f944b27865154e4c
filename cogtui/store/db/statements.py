"""The statements that write records into the index, and what a verdict comes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from cogtui.store.db.schema import DISTANCE_COLUMNS
from cogtui.store.stage_files.decode import JudgementLine, LabelledSpanLine, SpanLine
from cogtui.store.values.encodings import STATUS_LETTERS
from cogtui.store.values.span_distances import NO_DISTANCE, SET_SLICES, span_distances
from pipelines.behaviors.sets.registered import BEHAVIORS, behaviors_in_use
from pipelines.records import Behavior

N: Final = len(BEHAVIORS)
_COUNTS: Final = ", ".join(BEHAVIORS)
ADDRESS_BITS: Final = 40
ADDRESS_MASK: Final = (1 << ADDRESS_BITS) - 1
MISSING: Final = "-"
BEHAVIOR_NUMBERS: Final[dict[Behavior, int]] = {behavior: number for number, behavior in enumerate(BEHAVIORS)}


def _slots(count: int) -> str:
    return ", ".join("?" * count)


INSERT_RECORD: Final = f"INSERT OR IGNORE INTO record (serial, uid, numbers, file, byte) VALUES ({_slots(5)})"
INSERT_ROLLOUT: Final = f"""INSERT INTO rollout (serial, series, step, reward, correct, n_tokens, length, sample,
    finish, has_answer, target, ordinal, problem_id, judge, judged, unaligned, {_COUNTS}, has_note)
    VALUES ({_slots(16 + N)}, 0)"""
INSERT_JUDGEMENT: Final = f"""INSERT OR REPLACE INTO rollout_judgement (serial, run, statuses, {_COUNTS}, unaligned,
    {", ".join(f"address_{behavior}" for behavior in BEHAVIORS)}) VALUES ({_slots(4 + 2 * N)})"""
UPDATE_SHOWN: Final = f"""UPDATE rollout SET judge = ?, judged = ?, unaligned = ?,
    {", ".join(f"{behavior} = ?" for behavior in BEHAVIORS)} WHERE serial = ?"""
INSERT_DISTANCES: Final = f"""INSERT OR REPLACE INTO span_distance (serial, {", ".join(DISTANCE_COLUMNS)})
    VALUES (?, {", ".join([f"nullif(?, {NO_DISTANCE})"] * len(DISTANCE_COLUMNS))})"""

JUDGED_NAMES: Final = ("none", "ok", "partial", "failed")
"""Codes of `rollout.judged`."""

Counts = tuple[int | None, ...]
"""By behaviour; None where the judgement failed or is missing."""
LineAddresses = tuple[int | None, ...]
"""By behaviour the place of its line, `source << AT_BITS | byte`; None where there is none."""
SpanDistances = tuple[int, ...] | None
"""Columns of `span_distance`, `NO_DISTANCE` for NULL; None where fewer than two spans have a place."""
RolloutJudgement = tuple[str, Counts, int, LineAddresses, SpanDistances]
"""What one judge run says of one rollout: statuses (a letter a behaviour), counts, unaligned spans, places, gaps.

Verdicts and what they are made of are plain tuples, because millions of them go from one process to another.
"""
Ranges = list[tuple[int, int]]
JudgementFields = tuple[str, int | None, Ranges, int, int]
"""What one line says: status letter, count, (start, end) of the placed spans, number of unaligned ones, place."""


def judgement_fields(line: JudgementLine, at: int) -> JudgementFields:
    """What a judgement line says.

    Raises:
        ValueError: count and status, or the offsets of a span, contradict each other.
    """
    status, count = line.status, line.count
    if (count is None) == (status == "ok"):
        raise ValueError("a judgement has a count exactly when its status is ok")
    ranges, unaligned = _placed(line.spans)
    return STATUS_LETTERS[status], count, ranges, unaligned, at


def teacher_fields(spans: Sequence[LabelledSpanLine], at: int) -> list[JudgementFields | None]:
    """Return what a teacher's own spans say: all behaviours of their set are known.

    Raises:
        ValueError: the offsets of a span are none.
    """
    said: list[JudgementFields | None] = []
    known = behaviors_in_use(span.behavior for span in spans)
    for behavior in BEHAVIORS:
        own = [span for span in spans if span.behavior == behavior]
        said.append((STATUS_LETTERS["ok"], len(own), *_placed(own), at) if behavior in known else None)
    return said


_NOTHING: Final[tuple[str, int | None, Ranges, int, int | None]] = (MISSING, None, [], 0, None)


def rollout_judgement(said: Sequence[JudgementFields | None]) -> RolloutJudgement:
    """What up to four lines, in the order of the behaviours, come to."""
    whole = [one or _NOTHING for one in said]
    ranges = [one[2] for one in whole]
    return (
        "".join([one[0] for one in whole]),
        tuple([one[1] for one in whole]),
        sum([one[3] for one in whole]),
        tuple([one[4] for one in whole]),
        span_distances(ranges) if sum(map(len, ranges)) > 1 else None,
    )


def judged_code(judgement: RolloutJudgement) -> int:
    """Return how complete a judgement is, as `rollout.judged` has it, for the sets it is about."""
    statuses, counts = judgement[:2]
    known: list[int | None] = []
    for part in SET_SLICES:
        if statuses[part].strip(MISSING):
            known += counts[part]
    missing = known.count(None)
    return 1 if known and not missing else 2 if missing < len(known) else 3


def merge_sets(judgements: Sequence[tuple[int, RolloutJudgement]]) -> tuple[int, RolloutJudgement]:
    """Merge the judgements of a rollout into what its row shows: of each behaviour set the first that is about it.

    Args:
        judgements: judge run and what it says, the preferred run first.

    Returns:
        The run shown for the first set that is judged, and the merged judgement.
    """
    chosen = [_first_about(part, judgements) for part in SET_SLICES]
    spoken = [one for one in chosen if one is not None]
    if not spoken:
        return judgements[0]
    if all(run == spoken[0][0] for run, _ in spoken):
        return spoken[0]
    statuses = ""
    counts: Counts = ()
    addresses: LineAddresses = ()
    distances: tuple[int, ...] = ()
    for part, one in zip(SET_SLICES, chosen, strict=True):
        nothing = part.stop - part.start
        statuses += one[1][0][part] if one else MISSING * nothing
        counts += one[1][1][part] if one else (None,) * nothing
        addresses += one[1][3][part] if one else (None,) * nothing
        own = one[1][4] if one else None
        distances += own[len(distances) : len(distances) + nothing**2] if own else (NO_DISTANCE,) * nothing**2
    unaligned = sum(judgement[2] for _, judgement in dict(spoken).items())
    any_distance = any(judgement[4] is not None for _, judgement in spoken)
    return spoken[0][0], (statuses, counts, unaligned, addresses, distances if any_distance else None)


def _first_about(
    part: slice, judgements: Sequence[tuple[int, RolloutJudgement]]
) -> tuple[int, RolloutJudgement] | None:
    return next((one for one in judgements if one[1][0][part].strip(MISSING)), None)


def judgement_row(serial: int, run: int, verdict: RolloutJudgement) -> tuple[Any, ...]:
    """For `INSERT_JUDGEMENT`."""
    statuses, counts, unaligned, places, _ = verdict
    return (serial, run, statuses, *counts, unaligned, *places)


UNJUDGED: Final[tuple[Any, ...]] = (None, 0, None, *[None] * N)


def shown_columns(run: int, verdict: RolloutJudgement) -> tuple[Any, ...]:
    """What the row of the list shows of a verdict, as `INSERT_ROLLOUT` and `UPDATE_SHOWN` take it."""
    counts = verdict[1]
    return (run, 1 if None not in counts else judged_code(verdict), verdict[2], *counts)


def _placed(spans: Iterable[SpanLine | LabelledSpanLine]) -> tuple[Ranges, int]:
    ranges: Ranges = []
    unaligned = 0
    for span in spans:
        start, end = span.start, span.end
        if start is None or end is None:
            if start is not end:
                raise ValueError(f"no range: {start}:{end}")
            unaligned += 1
        elif 0 <= start < end < MAX_OFFSET:
            ranges.append((start, end))
        else:
            raise ValueError(f"no range: {start}:{end}")
    return ranges, unaligned


MAX_OFFSET: Final = 1 << 40
"""No text is that long."""
