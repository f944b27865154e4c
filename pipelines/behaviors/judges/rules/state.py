"""What the pass over a trace carries along: the text's parts, the flow of results, and what is pending."""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass, field

from pipelines.behaviors.judges.rules.clauses import Clause, TextBreaks
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.flow import ResultFlow
from pipelines.behaviors.judges.rules.tokens import NUMBER, Number, TokenTable
from pipelines.records import Behavior


@dataclass(slots=True)
class SpanDraft:
    """A span in the making."""

    behavior: Behavior
    start: int
    end: int
    weak: bool = False
    repeat: bool = False
    why: str = ""
    says: int = 0
    """Of a verdict: 1 where it says that the target is reached, -1 where it says that it is not."""


@dataclass(slots=True)
class PendingMarker:
    """A marker that has not met its attempt yet."""

    start: int
    end: int
    sentence: int
    line: int
    strong: bool
    turns: bool
    """It turns to another operation: worth a span of its own if nothing is computed in its sentence."""
    breaks: bool
    """It breaks off what was under way: `wait`, `alternatively`."""
    bare: bool


@dataclass(slots=True)
class AnnouncedCheck:
    """An announced re-computation: announced at a clause, under way from its first computation on."""

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
    """Where `</think>` stands, or -1."""
    found: list[SpanDraft] = field(default_factory=list)
    lead: list[Clause] = field(default_factory=list)
    """Clauses of this sentence since the last computation or verdict."""
    stated: set[Number] = field(default_factory=set)
    """Intermediate goals stated so far."""
    backward: set[str] = field(default_factory=set)
    """Arithmetic from the target, as written so far."""
    marker: PendingMarker | None = None
    growing: bool = False
    """The last span is an attempt that the next computation may go on with."""
    asked: Clause | None = None
    """A question whether the result is the target, not answered yet."""
    covered: bool = False
    """A marker that was drawn covers the attempt that comes next."""
    check: AnnouncedCheck | None = None
    under_goal: bool = False
    """What is computed serves an intermediate goal, so a verdict is about that."""
    idle_goal: bool = False
    """A goal was stated and nothing computed since."""
    line: int = -9
    """Of the last computation."""
    sentence: int = -9

    def add(self, found: SpanDraft) -> None:
        """Keeps a span."""
        self.found.append(found)

    def number_at(self, place: int) -> Number | None:
        """The number whose token begins at a place of the text."""
        index = bisect_left(self.tokens.starts, place)
        if index < len(self.tokens) and self.tokens.starts[index] == place and self.tokens.kinds[index] == NUMBER:
            value = self.tokens.values[index]
            assert isinstance(value, int | float)
            return value
        return None

    def numbers_between(self, start: int, end: int, leave_out: Collection[int] = ()) -> list[Number]:
        """The numbers that stand between two places of the text, except those that begin at certain places."""
        values: list[Number] = []
        index = bisect_left(self.tokens.starts, start)
        while index < len(self.tokens) and self.tokens.starts[index] < end:
            value = self.tokens.values[index]
            wanted = self.tokens.kinds[index] == NUMBER and self.tokens.starts[index] not in leave_out
            if wanted and isinstance(value, int | float):
                values.append(value)
            index += 1
        return values
