"""An outside importer in one file: rows that hold several completions of one question, with a score each."""

from collections.abc import Iterable, Mapping
from typing import Any

from cogtui.store.importing.protocol import BadRowError, FileSample, ImportColumns, ImportedRollout


class SeveralAnswers:
    """Imports rows like `{"ask": …, "tries": [{"text": …, "points": …}, …]}`."""

    name = "several"
    label = "a log of several answers per question"
    default_split = "test"

    def matches(self, sample: FileSample) -> float:
        return 1.0 if {"ask", "tries"} <= set(sample.rows[0]) else 0.0

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        return ImportColumns()

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        if not isinstance(row.get("tries"), list):
            raise BadRowError("no list of answers in tries")
        for number, answer in enumerate(row["tries"]):
            yield ImportedRollout(
                completion=answer["text"],
                prompt=row["ask"],
                step=row.get("update"),
                sample=number,
                reward=answer["points"],
                correct=answer["points"] == 1.0,
            )


IMPORTER = SeveralAnswers()
