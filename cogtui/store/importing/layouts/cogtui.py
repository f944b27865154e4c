"""cogtui's own records: rollouts, priming traces and judgements. They are copied or linked, not converted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from cogtui.store.importing.protocol import (
    BadRowError,
    FileSample,
    ImportColumns,
    ImportedRollout,
    RecordFamily,
)
from pipelines.records import Rollout, upgrade_record
from pipelines.streams import strip_envelope


class CogtuiImporter:
    """Imports stream files of cogtui."""

    name = "cogtui"
    label = "records of cogtui"
    default_split = "train"

    def matches(self, sample: FileSample) -> float:
        """Return 1 if the first row has all fields of a record."""
        return 1.0 if self.record_family(sample) is not None else 0.0

    def record_family(self, sample: FileSample) -> RecordFamily | None:
        """Return the family of the first row; None if it is not a record."""
        return record_family_of(sample.rows[0])

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Return an empty mapping: the fields of records are fixed."""
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Never called: the import copies the file."""
        raise BadRowError("records are copied, not converted")


def record_family_of(row: Mapping[str, Any]) -> RecordFamily | None:
    """Return which record a row is, if any."""
    try:
        names = set(upgrade_record(strip_envelope(dict(row))))
    except ValueError:
        return None
    if {"rollout_id", "judge_run", "behavior", "status"} <= names:
        return "judgements"
    if {"teacher", "completion", "spans", "problem_id", "condition"} <= names:
        return "traces"
    needed = {name for name, info in Rollout.model_fields.items() if info.is_required()}
    return "rollouts" if needed <= names and not names - set(Rollout.model_fields) else None


IMPORTER: Final = CogtuiImporter()
