"""verifiers: `results.jsonl` of `vf-eval` and saved results, a row per rollout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter
from cogtui.store.importing.protocol import ImportColumns, ImportedRollout


class VerifiersImporter(ColumnImporter):
    """Imports results of verifiers. Their `answer` is the right answer, not the model's."""

    name = "verifiers"
    label = "results of verifiers"
    default_split = "test"
    layout: ClassVar = {
        "completion": ("completion",),
        "prompt": ("prompt",),
        "reward": ("reward",),
        "problem_id": ("example_id",),
        "ground_truth": ("answer",),
        "n_tokens": ("token_usage.output_tokens", "token_usage.completion_tokens"),
        "id": ("trajectory_id", "rollout_id"),
    }
    required = frozenset(("prompt", "completion", "reward"))
    any_of = frozenset(("example_id", "stop_condition", "generation_ms", "is_truncated"))

    def rollouts(self, row: Mapping[str, Any], columns: ImportColumns) -> Iterable[ImportedRollout]:
        """Return the rollouts of a row; a truncated one ended by its length."""
        for rollout in super().rollouts(row, columns):
            if row.get("is_truncated") is True and rollout.finish_reason is None:
                rollout.finish_reason = "length"
            yield rollout


IMPORTER: Final = VerifiersImporter()
