"""Grouping judgement lines by rollout and judge run. Of two lines for one behaviour the first counts.

A judge of the four habits writes the four lines of a rollout one after the other, and nearly all of them are well
formed. Such groups of four take a fast path; all other lines are added one by one, with the same result.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from cogtui.store.db.schema import DISTANCE_COLUMNS
from cogtui.store.db.statements import (
    BEHAVIOR_NUMBERS,
    MISSING,
    JudgementFields,
    N,
    RolloutJudgement,
    judgement_fields,
    rollout_judgement,
)
from cogtui.store.stage_files.decode import JudgementLine
from cogtui.store.values.encodings import STATUS_LETTERS
from cogtui.store.values.span_distances import NO_DISTANCE, fast_span_distances
from pipelines.behaviors.sets.four_habits import FOUR_HABITS

_Key = tuple[str, str]
_SIZE: Final = len(FOUR_HABITS.names)
_ALL_OK: Final = ("ok",) * _SIZE
_LETTERS: Final = STATUS_LETTERS["ok"] * _SIZE + MISSING * (N - _SIZE)
_OTHER_BEHAVIORS: Final = (None,) * (N - _SIZE)
_OTHER_DISTANCES: Final = (NO_DISTANCE,) * (len(DISTANCE_COLUMNS) - _SIZE**2)
"""The fields of the other installed behaviour sets in a judgement of the four habits; usually empty."""


class JudgementRecord(Struct, array_like=True, gc=False):
    """The judgements of one rollout by one judge run, not yet resolved to ids of the index."""

    rollout: str
    run: str
    judgement: RolloutJudgement


class JudgementGrouper:
    """Collects judgement lines into one `JudgementRecord` per rollout and judge run."""

    def __init__(self) -> None:
        self._lines: dict[_Key, list[JudgementFields | None]] = {}
        self._complete: dict[_Key, RolloutJudgement] = {}
        """Groups added by the fast path; no key is in both."""

    def add(self, line: JudgementLine, address: int) -> None:
        """Add a line.

        Raises:
            ValueError: its fields contradict each other.
        """
        fields = judgement_fields(line, address)
        key = (line.rollout_id, line.judge_run)
        if key in self._complete:
            return
        known = self._lines.get(key)
        if known is None:
            known = self._lines[key] = [None] * N
        behavior = BEHAVIOR_NUMBERS[line.behavior]
        if known[behavior] is None:
            known[behavior] = fields

    def add_all(self, lines: Sequence[JudgementLine], addresses: Sequence[int]) -> None:
        """Add many lines. If it raises, some of them were added; adding them again changes nothing.

        Raises:
            ValueError: the fields of a line contradict each other.
        """
        index = 0
        while index < len(lines):
            if self._add_complete(lines[index : index + _SIZE], addresses[index : index + _SIZE]):
                index += _SIZE
            else:
                self.add(lines[index], addresses[index])
                index += 1

    def _add_complete(self, lines: Sequence[JudgementLine], addresses: Sequence[int]) -> bool:
        """Add the four lines of a rollout if they are simple; return whether it did.

        Unrolled rather than a loop, because it runs for every judged rollout.
        """
        if len(lines) < _SIZE:
            return False
        one, two, three, four = lines
        uid, run = key = (one.rollout_id, one.judge_run)
        counts = (one.count, two.count, three.count, four.count)
        if (
            (one.behavior, two.behavior, three.behavior, four.behavior) != FOUR_HABITS.names
            or (two.rollout_id, three.rollout_id, four.rollout_id) != (uid, uid, uid)
            or (two.judge_run, three.judge_run, four.judge_run) != (run, run, run)
            or (one.status, two.status, three.status, four.status) != _ALL_OK
            or None in counts
            or key in self._complete
            or key in self._lines
        ):
            return False
        spans: list[Any] = [(span.start, span.end, 0) for span in one.spans]
        spans += [(span.start, span.end, 1) for span in two.spans]
        spans += [(span.start, span.end, 2) for span in three.spans]
        spans += [(span.start, span.end, 3) for span in four.spans]
        try:
            spans.sort()
            distances = fast_span_distances(spans)
        except TypeError:  # a span without offsets: None does not compare with a number
            return False
        if distances is None:
            return False
        self._complete[key] = RolloutJudgement(
            _LETTERS,
            counts + _OTHER_BEHAVIORS,
            0,
            tuple(addresses) + _OTHER_BEHAVIORS,
            distances + _OTHER_DISTANCES if len(spans) > 1 else None,
        )
        return True

    def finished(self) -> Iterable[JudgementRecord]:
        """Return one record per rollout and judge run."""
        complete = [JudgementRecord(uid, run, judgement) for (uid, run), judgement in self._complete.items()]
        return complete + [
            JudgementRecord(uid, run, rollout_judgement(fields)) for (uid, run), fields in self._lines.items()
        ]
