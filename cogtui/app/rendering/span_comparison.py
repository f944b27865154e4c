"""Two sets of spans over one text: the instances each side has, and marks under each line that work without colour."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

from cogtui.app.rendering.highlight import sort_placed_spans
from cogtui.app.rendering.layout import TextLayout
from pipelines.behaviors.metrics.matching import match_spans
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior, LabelledSpan

SpanOwner = Literal["A", "B", "both"]
BOTH_MARK: Final = "="


@dataclass(frozen=True, slots=True)
class SpanMatch:
    """One instance of a behaviour: a span of one side, or two matching spans."""

    behavior: Behavior
    whose: SpanOwner
    start: int
    """Start of both spans together."""
    end: int
    first: LabelledSpan | None
    second: LabelledSpan | None

    @property
    def counts(self) -> bool:
        """Whether the scores count it as a disagreement; spans that a person marked weak or repeated do not count."""
        span = self.first or self.second
        assert span is not None
        return self.whose != "both" and not (span.weak or span.repeat)


def match_span_sets(first: Iterable[LabelledSpan], second: Iterable[LabelledSpan]) -> list[SpanMatch]:
    """Match the spans of two sides one to one at any overlap, as agreement is counted; in reading order."""
    left, right = sort_placed_spans(first), sort_placed_spans(second)
    found: list[SpanMatch] = []
    for behavior in BEHAVIORS:
        mine = [span for span in left if span.behavior == behavior]
        theirs = [span for span in right if span.behavior == behavior]
        matched = match_spans(theirs, mine)
        pairs = dict(matched.hits)
        # A span that matches a weak or repeated span is no disagreement: pair it with the nearest one.
        for index in matched.ignored:
            near = [j for j, span in enumerate(mine) if j not in pairs.values() and _overlap(span, theirs[index])]
            if near:
                pairs[index] = near[0]
        found += [_shared(behavior, mine[j], theirs[i]) for i, j in pairs.items()]
        found += [_shared(behavior, span, None) for j, span in enumerate(mine) if j not in pairs.values()]
        found += [_shared(behavior, None, span) for i, span in enumerate(theirs) if i not in pairs]
    return sorted(found, key=lambda one: (one.start, -one.end, BEHAVIORS.index(one.behavior), one.whose))


def _overlap(a: LabelledSpan, b: LabelledSpan) -> bool:
    return (a.start or 0) < (b.end or 0) and (b.start or 0) < (a.end or 0)


def _shared(behavior: Behavior, first: LabelledSpan | None, second: LabelledSpan | None) -> SpanMatch:
    spans = [span for span in (first, second) if span is not None]
    start = min(span.start or 0 for span in spans)
    end = max(span.end or 0 for span in spans)
    whose: SpanOwner = "both" if first and second else "A" if first else "B"
    return SpanMatch(behavior, whose, start, end, first, second)


def mark_at(shared: Sequence[SpanMatch], offset: int) -> str:
    """Return the mark of one character under the spans of one behaviour.

    `=`: both sides mark it; `A`, `B`: only this side has the instance; `a`, `b`: both sides have the instance, but only
    this side's span covers the character.
    """
    here = [(one, side) for one in shared for side in (0, 1) if _covers((one.first, one.second)[side], offset)]
    sides = {side for _, side in here}
    if len(sides) != 1:
        return BOTH_MARK if sides else " "
    letter = "AB"[sides.pop()]
    return letter if any(one.whose != "both" for one, _ in here) else letter.lower()


def _covers(span: LabelledSpan | None, offset: int) -> bool:
    return span is not None and (span.start or 0) <= offset < (span.end or 0)


class LinesWithMarks:
    """The lines of a text, each followed by a line of marks for every behaviour on it.

    Args:
        layout: the lines of the text.
        shared: the matched spans, from `match_span_sets`.
    """

    def __init__(self, layout: TextLayout, shared: Sequence[SpanMatch]) -> None:
        self.layout = layout
        self._on_line: dict[int, dict[Behavior, list[SpanMatch]]] = {}
        for one in shared:
            for line in range(layout.line_of(one.start), layout.line_of(max(one.start, one.end - 1)) + 1):
                self._on_line.setdefault(line, {}).setdefault(one.behavior, []).append(one)
        self._lines = sorted(self._on_line)
        self._tops: list[int] = []
        extra = 0
        for line in self._lines:
            self._tops.append(line + extra)
            extra += len(self._on_line[line])
        self._extra = extra

    def __len__(self) -> int:
        return len(self.layout) + self._extra

    def at(self, row: int) -> tuple[int, Behavior | None]:
        """Return the text line of a row, and the behaviour whose marks the row shows; None for the text."""
        index = bisect_right(self._tops, row) - 1
        if index < 0:
            return row, None
        line, below = self._lines[index], row - self._tops[index]
        behaviors = self._behaviors(line)
        if below == 0:
            return line, None
        if below <= len(behaviors):
            return line, behaviors[below - 1]
        return line + below - len(behaviors), None

    def row_of(self, offset: int) -> int:
        """Return the row of the text line that contains an offset."""
        line = self.layout.line_of(offset)
        before = bisect_right(self._lines, line - 1)
        return line + sum(len(self._on_line[one]) for one in self._lines[:before])

    def _behaviors(self, line: int) -> list[Behavior]:
        return [behavior for behavior in BEHAVIORS if behavior in self._on_line[line]]

    def marks(self, line: int, behavior: Behavior) -> list[tuple[int, int, str]]:
        """Return the marks of a behaviour on a line as (start, end, mark) of ranges that are marked alike."""
        start, end = self.layout.bounds(line)
        here = self._on_line.get(line, {}).get(behavior, [])
        cuts = {start, end}
        for one in here:
            for span in (one.first, one.second):
                if span is not None:
                    cuts |= {max(start, min(end, span.start or 0)), max(start, min(end, span.end or 0))}
        ordered = sorted(cuts)
        return [(a, b, mark_at(here, a)) for a, b in pairwise(ordered)]
