"""The one table of the value columns of a rollout: what can be filtered, sorted, counted in bins and listed.

A column that is added here is in the index (`db/schema`), in the filter language (`filter/ast`, `query/filter_sql`),
in sorts and histograms, and in the lists of the app and of commands (`values/fields`). Beside this table it needs its
value at ingest (`ingest/parse`) and an attribute of `RolloutRow` (`query/details`).
"""

from dataclasses import dataclass
from typing import Final, Literal

from pipelines.behaviors.sets.registered import DEFINITIONS

FieldKind = Literal["text", "number", "truth", "choice", "prefix", "words"]
"""How a filter compares a field."""
ValueType = Literal["whole", "real", "truth", "code"]
"""`code`: a number in the index that stands for a word."""


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

    @property
    def column(self) -> str:
        """Its column in the table `rollout`."""
        return self.sql or self.name

    @property
    def declaration(self) -> str:
        """Its column in a CREATE TABLE statement."""
        storage = "REAL" if self.type == "real" else "INTEGER"
        return f"{self.column} {storage}{'' if self.optional else ' NOT NULL'}"


VALUE_COLUMNS: Final = (
    ValueColumn(
        name="step", type="whole", description="training step", title="step", optional=False, indexed=True
    ),
    ValueColumn(
        name="target",
        type="whole",
        description="the number a problem names as its target, as those of countdown do",
        sortable=False,
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


def columns_after(name: str) -> tuple[ValueColumn, ...]:
    """Return the columns behind the one of that name, in the order of the table."""
    return VALUE_COLUMNS[VALUE_COLUMNS.index(BY_NAME[name]) + 1 :]
