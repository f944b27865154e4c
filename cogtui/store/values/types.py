"""The values that queries return: frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, TypeAlias, TypeVar

from cogtui.store.columns import columns_after
from cogtui.store.filter.parser import EVERYTHING, Filter
from pipelines.tasks.registry import NO_TASK, describe_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelines.records import ArithmeticFact, AttemptFact, Behavior, JudgeRun, JudgeStatus, Span

Label = str | int | float | bool
CountOfBehavior = tuple[int | None, ...]
"""Counts in the order of `BEHAVIORS`; None where that behaviour was not judged or its judgement failed."""

DOCUMENT_SPLIT: Final = "document"
"""Split of the records of a `classify` stage."""

Judged = Literal["none", "ok", "partial", "failed"]
"""No judgement; all judged behaviours `ok`; some of them; none of them."""

GroupSort = Literal["problem", "best", "mean", "worst", "rollouts"]
SortField: TypeAlias = str
"""One of `SORT_FIELDS`."""
SORT_FIELDS: Final[tuple[SortField, ...]] = (
    "step", "condition", "seed", "stage", "problem", "sample",
    *(column.name for column in columns_after("sample") if column.sortable),
)  # fmt: skip
"""The columns a list of rollouts can be sorted by."""


@dataclass(frozen=True, slots=True)
class Sort:
    """A column to order by. Ties are ordered by stage, then in the order the stage wrote its rollouts."""

    field: SortField = "step"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A filter and an order. Rows whose sort value is missing come last in both directions."""

    filter: Filter = EVERYTHING
    sort: Sort = field(default_factory=Sort)


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position of a row in a sorted list. Opaque; stays valid while rows are added."""

    values: tuple[Any, ...]


END: Final = Cursor(())
"""The position after the last row: `page(query, before=END)` is the last page."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Consecutive rows of a list."""

    rows: tuple[Row, ...]
    before: Cursor | None
    """Cursor for the rows before these; None if these are the first."""
    after: Cursor | None
    """Cursor for the rows after these; None if these are the last."""


def _described(task: str, problem: Mapping[str, Any], arrow: str) -> str:
    return "document" if task == NO_TASK else describe_problem(task, problem).short.replace("→", arrow)


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """A rollout in a list: everything except its texts."""

    id: str
    stage: str
    """Key of the stage that wrote it."""
    kind: str
    condition: str | None
    seed: int | None
    step: int
    split: str
    problem_id: str
    sample: int
    task: str
    """Name of the task; empty where there is no problem of a known task."""
    problem: Mapping[str, Any] = field(hash=False)
    """The problem as the task's own JSON."""
    reward: float | None
    correct: bool | None
    finish_reason: str
    n_tokens: int | None
    """Generated tokens; None for priming traces, which were not generated token by token."""
    length: int
    """Length of the completion, in code points."""
    counts: CountOfBehavior
    judge: str | None
    """Id of the judge run of the counts; None if there is no judgement."""
    judged: Judged
    unaligned: int | None
    """Spans whose quote was not found in the text; None if there is no judgement."""
    noted: bool
    """Whether it has a note or a tag."""
    cursor: Cursor
    """Its position in the list it came from."""
    serial: int
    """Order of insertion into this index. Not stable across rebuilds; for `newer_than` only."""
    values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Name → value of the computed columns (`cogtui.store.columns`)."""

    def describe(self, arrow: str = "→") -> str:
        """Return the problem in one line, with this arrow; `document` where there is none."""
        return _described(self.task, self.problem, arrow)

    @property
    def is_document(self) -> bool:
        """Whether it is a document of a corpus rather than an answer to a problem."""
        return self.split == DOCUMENT_SPLIT


@dataclass(frozen=True, slots=True)
class BehaviorJudgement:
    """The judgement of one behaviour in one rollout by one judge run."""

    judge_run: str
    behavior: Behavior
    status: JudgeStatus
    count: int | None
    spans: tuple[Span, ...]
    raw: str | None
    usage: dict[str, Any]
    stale: bool
    """The judge saw another text than the stored one, so its offsets are not valid."""
    facts: tuple[ArithmeticFact, ...] = ()
    """Facts about the arithmetic of the completion, on the first behaviour only; empty if `stale`."""
    attempts: tuple[AttemptFact, ...] = ()
    """The attempts that the judge read, on the first behaviour only; empty if `stale`."""


@dataclass(frozen=True, slots=True)
class RolloutDetail:
    """A complete rollout: its texts, judgements, note and tags."""

    row: RolloutRow
    prompt: str
    completion: str
    answer: str | None
    meta: dict[str, Any]
    judge_runs: tuple[JudgeRun, ...]
    """The judge runs that judged it; the one that the row shows is first."""
    judgements: tuple[BehaviorJudgement, ...]
    """By judge run as above, then by behaviour."""
    note: str
    tags: tuple[str, ...]
    source: str
    """`FILE:BYTE` of the record it was read from."""


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of a histogram. `filter` matches exactly its rollouts."""

    low: float
    high: float
    """Inclusive for the bins of whole numbers, exclusive otherwise (the last bin excepted)."""
    count: int
    filter: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """The distribution of a field over the rollouts of a filter."""

    field: SortField
    bins: tuple[Bin, ...]
    missing: int
    """Rollouts without a value: unscored, or not judged."""


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """All rollouts of one problem in a filter."""

    problem_id: str
    task: str
    """Name of the task; empty where there is no problem of a known task."""
    problem: Mapping[str, Any] = field(hash=False)
    """The problem as the task's own JSON."""
    rollouts: int
    scored: int
    best: float | None
    mean: float | None
    worst: float | None
    by_step: tuple[tuple[int, float], ...]
    """Mean reward per step, steps ascending: the sparkline. Steps without a scored rollout are left out."""
    cursor: Cursor

    def describe(self, arrow: str = "→") -> str:
        """Return the problem in one line, as `RolloutRow.describe`."""
        return _described(self.task, self.problem, arrow)


@dataclass(frozen=True, slots=True)
class StepSummary:
    """Aggregates of the rollouts of one stage at one step: a point of the curves."""

    stage: str
    condition: str | None
    seed: int | None
    split: str
    step: int
    rollouts: int
    scored: int
    reward: float | None
    """Mean over the scored ones."""
    accuracy: float | None
    """Share of correct ones among the scored."""
    length: float
    """Mean, in code points."""
    tokens: float | None
    judged: tuple[int, ...]
    """Rollouts with a count, by behaviour."""
    counts: tuple[float | None, ...]
    """Mean count per rollout over those judged, by behaviour."""


@dataclass(frozen=True, slots=True)
class MetricStep:
    """A metric of one stage at a step, or over several neighbouring steps where there are very many."""

    stage: str
    stream: str
    name: str
    step: float
    """The middle of the steps."""
    value: float
    """Mean over the steps."""
    low: float
    high: float
    """The smallest and the largest value among the steps."""
    steps: int
    """Number of steps."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """A match of a `text:` filter in a completion, with some text around it."""

    text: str
    marks: tuple[tuple[int, int], ...]
    """Half-open code-point ranges in `text`."""
    start: int
    """Offset of `text` in the completion."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of the data on disk that is in the index."""

    rollouts: int
    judgements: int
    """Per rollout and judge run."""
    files: int
    bytes_read: int
    bytes_total: int
    bad_lines: int
    """Complete lines that are not valid records; listed by `bad_lines`."""
    orphans: int
    """Judgements whose rollout is not in the index."""
    newest: int
    """The highest `serial`."""

    @property
    def complete(self) -> bool:
        """Whether everything on disk is in the index."""
        return self.bytes_read >= self.bytes_total


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is not a valid record."""

    file: str
    byte: int
    reason: str
