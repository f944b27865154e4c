"""The state of the pass over a trace: its tokens, the relations of results, and pending markers and checks."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from pipelines.behaviors.judges.rules.clauses import Clause, TextBreaks
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.flow import ResultFlow
from pipelines.behaviors.judges.rules.tokens import GLUE, NUMBER, Number, TokenTable
from pipelines.records import Behavior

_GLUE: Final = bytes((GLUE,))


@dataclass(slots=True)
class SpanDraft:
    """A span that later clauses may still extend."""

    behavior: Behavior
    start: int
    end: int
    weak: bool = False
    repeat: bool = False
    why: str = ""
    says: int = 0
    """For a verdict: 1 if it states that the target is reached, -1 if it states the opposite."""


@dataclass(slots=True)
class PendingMarker:
    """A marker whose attempt has not been found yet."""

    start: int
    end: int
    sentence: int
    line: int
    strong: bool
    turns: bool
    """Whether it turns to another operation: it gets its own span if its sentence computes nothing."""
    breaks: bool
    """Whether it interrupts the current attempt: `wait`, `alternatively`."""
    bare: bool
    heading: bool
    """Whether it numbers an attempt, which may follow behind a full stop: `Case 2. 11 * 7 = 77`."""


@dataclass(slots=True)
class AnnouncedCheck:
    """An announced re-computation; `open` from its first computation on."""

    start: int
    line: int
    open: bool = False
    end: int = 0


@dataclass(slots=True)
class TraceState:
    """One pass over one trace."""

    text: str
    """Folded."""
    masked: str
    tokens: TokenTable
    computations: list[Computation]
    breaks: TextBreaks
    flow: ResultFlow
    thought_end: int = -1
    """Offset of `</think>`, or -1."""
    found: list[SpanDraft] = field(default_factory=list)
    lead: list[Clause] = field(default_factory=list)
    """Clauses of this sentence since the last computation or verdict."""
    stated: set[Number] = field(default_factory=set)
    """Intermediate goals stated so far."""
    backward: set[str] = field(default_factory=set)
    """Arithmetic from the target, as written so far."""
    marker: PendingMarker | None = None
    growing: bool = False
    """Whether the last span is an attempt that the next computation may extend."""
    asked: Clause | None = None
    """An unanswered question whether the result is the target."""
    covered: bool = False
    """Whether the span of a marker covers the next attempt."""
    check: AnnouncedCheck | None = None
    under_goal: bool = False
    """Whether computations serve an intermediate goal, so that verdicts are about the goal."""
    judged: tuple[Computation, int] | None = None
    """The result that the last verdict was about, with what it said."""
    turned_from: Computation | None = None
    """The result from which the last announced attempt without a computation turned away."""
    idle_goal: bool = False
    """Whether a goal was stated and nothing computed since."""
    line: int = -9
    """Of the last computation."""
    sentence: int = -9

    def add(self, found: SpanDraft) -> None:
        """Add a span."""
        self.found.append(found)

    def number_at(self, place: int) -> Number | None:
        """Return the number that begins at an offset, after at most the mark that wraps it; None if there is none."""
        index = bisect_left(self.tokens.starts, place)
        if self.tokens.kinds[index : index + 1] == _GLUE and self.tokens.starts[index] == place:
            index += 1
            place = self.tokens.ends[index - 1]
        if index < len(self.tokens) and self.tokens.starts[index] == place and self.tokens.kinds[index] == NUMBER:
            value = self.tokens.values[index]
            assert isinstance(value, int | float)
            return value
        return None

    def numbers_between(self, start: int, end: int, leave_out: Collection[int] = ()) -> list[Number]:
        """Return the numbers between two offsets, except those that begin at the offsets `leave_out`."""
        values: list[Number] = []
        index = bisect_left(self.tokens.starts, start)
        while index < len(self.tokens) and self.tokens.starts[index] < end:
            value = self.tokens.values[index]
            wanted = self.tokens.kinds[index] == NUMBER and self.tokens.starts[index] not in leave_out
            if wanted and isinstance(value, int | float):
                values.append(value)
            index += 1
        return values
