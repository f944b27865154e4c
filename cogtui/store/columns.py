"""The one table of the value columns of a rollout: what can be filtered, sorted, counted in bins and listed.

A column that is added here is in the index (`db/schema`), in the filter language (`filter/ast`, `query/filter_sql`),
in sorts and histograms, in the lists of the app and of commands (`values/fields`), and in exports. A column with a
function `compute` needs nothing else: ingest calls it, and the value is in `RolloutRow.values`. The others are fields
of a record or of a judgement, which `ingest/parse` and `query/details` name one by one, as every rollout passes there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from pipelines.behaviors.sets.registered import DEFINITIONS

FieldKind = Literal["text", "number", "truth", "choice", "prefix", "words"]
"""The kind of comparison that a filter makes with a field."""
ValueType = Literal["whole", "real", "truth", "code"]
"""`code`: a number that encodes a word."""


class IndexedRecord(Protocol):
    """The fields of a rollout or trace that a column can be computed from."""

    completion: str
    answer: str | None
    problem: dict[str, Any] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueColumn:
    """A column of the table `rollout` with a value of the rollout itself."""

    name: str
    """In filters, sorts, views and `--columns`."""
    sql: str = ""
    """Column of the table; its name if empty."""
    type: ValueType
    kind: FieldKind = "number"
    description: str
    """In the help of the filter language."""
    title: str = ""
    """Heading in a list of rollouts; empty: a list has no such column."""
    attribute: str = ""
    """Of `RolloutRow`; the name if empty."""
    optional: bool = True
    """Whether the value may be missing."""
    sortable: bool = True
    indexed: bool = False
    """Whether the index is sorted by it: for columns that lists of a million rollouts are sorted by."""
    behavior: bool = False
    """Whether it is the count of a behaviour."""
    compute: Callable[[IndexedRecord], float | None] | None = None
    """Returns its value when a record is indexed, a truth value as 0 or 1; None if another module fills it."""

    @property
    def column(self) -> str:
        """Its column in the table `rollout`."""
        return self.sql or self.name

    @property
    def declaration(self) -> str:
        """Its column in a CREATE TABLE statement."""
        storage = "REAL" if self.type == "real" else "INTEGER"
        return f"{self.column} {storage}{'' if self.optional else ' NOT NULL'}"


def _target(record: IndexedRecord) -> int | None:
    """The problem's own field `target`, where it is a whole number that SQLite can store."""
    target = record.problem.get("target") if record.problem else None
    return target if type(target) is int and abs(target) < 2**63 else None


VALUE_COLUMNS: Final = (
    ValueColumn(
        name="step", type="whole", description="training step", title="step", optional=False, indexed=True
    ),
    ValueColumn(
        name="target",
        type="whole",
        description="the number a problem names as its target, as those of countdown do",
        sortable=False,
        compute=_target,
    ),
    ValueColumn(
        name="sample", type="whole", description="which completion of the problem, from 0", title="sample",
        optional=False,
    ),
    ValueColumn(name="reward", type="real", description="exact reward", title="reward", indexed=True),
    ValueColumn(
        name="correct", type="truth", kind="truth", description="whether the answer is right", title="ok"
    ),
    ValueColumn(
        name="finish", type="code", kind="choice", description="stop, length or error", title="finish",
        attribute="finish_reason", optional=False, sortable=False,
    ),
    ValueColumn(
        name="tokens", sql="n_tokens", type="whole", description="generated tokens", title="tokens",
        attribute="n_tokens", indexed=True,
    ),
    ValueColumn(
        name="length", type="whole", description="characters of the completion", title="chars", optional=False,
        indexed=True,
    ),
    *(
        ValueColumn(
            name=name, type="whole", description=f"count of {name}", title=behavior.letter, indexed=True, behavior=True
        )
        for name, behavior in DEFINITIONS.items()
    ),
    ValueColumn(
        name="unaligned", type="whole", description="quotes that were not found in the text", title="unaligned"
    ),
)  # fmt: skip
BY_NAME: Final = {column.name: column for column in VALUE_COLUMNS}
COMPUTED_COLUMNS: Final = tuple(column for column in VALUE_COLUMNS if column.compute)


def columns_after(name: str) -> tuple[ValueColumn, ...]:
    """Return the columns behind the one of that name, in the order of the table."""
    return VALUE_COLUMNS[VALUE_COLUMNS.index(BY_NAME[name]) + 1 :]
