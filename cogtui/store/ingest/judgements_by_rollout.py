"""Judgement lines put together by rollout and judge run. Of two lines for one behaviour the first holds.

A judge of the four habits writes the four lines of a rollout one after the other, and nearly all of them are well
formed. Such four are taken at once; other lines are taken one by one, with the same outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

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

JudgementRecord = tuple[str, str, RolloutJudgement]
"""Rollout, judge run, verdict."""
_Key = tuple[str, str]
_WHOLE: Final = len(FOUR_HABITS.names)
_ALL_OK: Final = ("ok",) * _WHOLE
_LETTERS: Final = STATUS_LETTERS["ok"] * _WHOLE + MISSING * (N - _WHOLE)
_OTHER_BEHAVIORS: Final = (None,) * (N - _WHOLE)
_OTHER_DISTANCES: Final = (NO_DISTANCE,) * (len(DISTANCE_COLUMNS) - _WHOLE**2)
"""What a judgement of the four habits says of the other sets installed: usually there are none."""


class JudgementGrouper:
    """What some judgement lines come to."""

    def __init__(self) -> None:
        self._said: dict[_Key, list[JudgementFields | None]] = {}
        self._whole: dict[_Key, RolloutJudgement] = {}
        """Of those all four lines were taken at once; the same key is never in both."""

    def add(self, line: JudgementLine, at: int) -> None:
        """Takes a line and its place.

        Raises:
            ValueError: what it says contradicts itself.
        """
        said = judgement_fields(line, at)
        key = (line.rollout_id, line.judge_run)
        if key in self._whole:
            return
        known = self._said.get(key)
        if known is None:
            known = self._said[key] = [None] * N
        behavior = BEHAVIOR_NUMBERS[line.behavior]
        if known[behavior] is None:
            known[behavior] = said

    def add_all(self, lines: Sequence[JudgementLine], places: Sequence[int]) -> None:
        """Takes many lines, each with its place. Where it raises, some of them are taken.

        Raises:
            ValueError: what one of them says contradicts itself.
        """
        index = 0
        while index < len(lines):
            if self._add_whole(lines[index : index + _WHOLE], places[index : index + _WHOLE]):
                index += _WHOLE
            else:
                self.add(lines[index], places[index])
                index += 1

    def _add_whole(self, lines: Sequence[JudgementLine], places: Sequence[int]) -> bool:
        """Takes the four lines of a rollout if there is nothing to look at more closely; whether it did.

        Said in full rather than in loops: this is done for every judged rollout.
        """
        if len(lines) < _WHOLE:
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
            or key in self._whole
            or key in self._said
        ):
            return False
        placed: list[Any] = [(span.start, span.end, 0) for span in one.spans]
        placed += [(span.start, span.end, 1) for span in two.spans]
        placed += [(span.start, span.end, 2) for span in three.spans]
        placed += [(span.start, span.end, 3) for span in four.spans]
        try:
            placed.sort()
            distances = fast_span_distances(placed)
        except TypeError:  # a span that has no place: None is not less than anything
            return False
        if distances is None:
            return False
        apart = distances + _OTHER_DISTANCES if len(placed) > 1 else None
        self._whole[key] = (_LETTERS, counts + _OTHER_BEHAVIORS, 0, tuple(places) + _OTHER_BEHAVIORS, apart)
        return True

    def finished(self) -> Iterable[JudgementRecord]:
        """What the lines come to."""
        whole = [(uid, run, verdict) for (uid, run), verdict in self._whole.items()]
        return whole + [(uid, run, rollout_judgement(said)) for (uid, run), said in self._said.items()]
