"""What an importer of a row layout is: how it recognises a file, and how it turns a row into rollouts.

An importer is one file: an instance of a class with the members of `RowImporter`, registered in
`cogtui.store.importing.registry` or, from another package, by an entry point of the group `cogtui.importers`.
Containers (JSON lines, a JSON list, parquet, …) are read below importers: `pipelines.row_files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from cogtui.store.importing.conversations import PlacedPart

RecordFamily = Literal["rollouts", "traces", "judgements"]
"""Families of cogtui's own records that an import can copy."""


class BadRowError(ValueError):
    """A row has no rollout; the message says why."""


@dataclass(frozen=True, slots=True)
class FileSample:
    """The beginning of a file, from which an importer is chosen."""

    path: Path
    rows: Sequence[Mapping[str, Any]]
    """Its first rows, at least one."""


@dataclass(frozen=True, slots=True)
class ImportColumns:
    """Field of a rollout → the columns it is read from; the numbers of several are added."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Return one line per field, for people: `completion  from output`."""
        return [f"{name:<14} from {' + '.join(columns)}" for name, columns in self.fields.items()]


@dataclass(slots=True)
class ImportedRollout:
    """A rollout as a file states it. None means that the file does not state the value.

    The import computes what it can of the rest (sample by counting, the problem from the prompt, the reward by the
    task) and lists the computed fields in `meta.worked_out`; a stated value is never replaced.
    """

    completion: str
    prompt: str = ""
    step: int | None = None
    split: str | None = None
    sample: int | None = None
    problem_id: str | None = None
    task: str | None = None
    """Name of the task that `problem` belongs to."""
    problem: Mapping[str, Any] | None = None
    """The problem as JSON of its task. Without it, built-in tasks look for one in the next three and in the prompt."""
    numbers: Any = None
    target: Any = None
    ground_truth: Any = None
    reward: float | None = None
    correct: bool | None = None
    answer: str | None = None
    finish_reason: str | None = None
    n_tokens: int | None = None
    condition: str | int | None = None
    seed: str | int | None = None
    source_id: str | int | None = None
    """The id that the file gives the rollout."""
    question: str = ""
    """What the user asked last, if the prompt has other turns too; a completion may repeat it."""
    parts: Sequence[PlacedPart] = ()
    """Thoughts, texts, tool calls and results of a completion made of messages, with offsets; kept in `meta.parts`."""
    columns: Mapping[str, Any] = field(default_factory=dict)
    """Other values of the row, kept in `meta.columns`."""
    empty: list[str] = field(default_factory=list)
    """Fields that the file has, but as null, NaN or a value of another type. They stay empty: the import computes none
    of them, lists them in `meta.left_empty` and counts them."""
    computed: list[str] = field(default_factory=list)
    """Fields that are not in the file as such, for instance text joined from chat messages."""


class RowImporter(Protocol):
    """Reads one row layout."""

    @property
    def name(self) -> str:
        """Its name after `--format`, and that of its entry point."""
        ...

    @property
    def label(self) -> str:
        """What such a file is, for messages: `a verl rollout dump`."""
        ...

    @property
    def default_split(self) -> str:
        """Split of rollouts that state none."""
        ...

    def matches(self, sample: FileSample) -> float:
        """Return how surely a file has this layout, from 0 (it has not) to 1; the highest wins, ties by name."""
        ...

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return which columns the fields are read from, as shown to the user before the import.

        Args:
            sample: the beginning of the file.
            given: field → column, from `--map`; an empty column removes the field.

        Returns:
            An empty mapping if the layout has fixed fields. The import then refuses `--map`.

        Raises:
            InvalidInput: a field or column does not exist, or a necessary one is missing.
        """
        ...

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Convert a row into zero or more rollouts, always the same ones in the same order.

        A rollout with an empty completion is counted and named among the bad rows, the others of its row are kept.

        Raises:
            BadRowError: the row has no rollout.
        """
        ...


REQUIRED_MEMBERS: Final = ("name", "label", "default_split", "matches", "columns", "rollouts")


class RecordImporter(RowImporter, Protocol):
    """An importer of files that already are cogtui records: they are copied or linked, not converted."""

    def record_family(self, sample: FileSample) -> RecordFamily | None:
        """Return the family of the records in a file; None if they are not records."""
        ...
