"""The final figures of finished stages, from their `result.json`."""

from typing import NamedTuple

from jobs.workspace import Workspace
from pipelines.errors import CogtuiError
from pipelines.stages import find_kind


class StageFigures(NamedTuple):
    """What a finished stage reports."""

    accuracy: float | None = None
    """Accuracy on the evaluated problems at the end; None for a kind that evaluates nothing."""
    values: tuple[tuple[str, str], ...] = ()
    """Titles and texts of the kind's table of results."""
    warnings: tuple[str, ...] = ()
    before: float | None = None
    """The same accuracy before any training; None for a kind that does not train or did not measure it."""


def read_figures(workspace: Workspace, key: str, kind: str) -> StageFigures:
    """Read the figures of a finished stage. A damaged or missing result has none."""
    try:
        result = workspace.folder(key).result() or {}
        known = find_kind(kind)
        table = None if known is None else known.result_table_of([result])
    except (CogtuiError, OSError, ValueError, TypeError, LookupError):  # the table of a plug-in's kind included
        return StageFigures()
    accuracy = before = None
    if known is not None and known.evaluates != "none":
        accuracy = _number(result.get("accuracy_after", result.get("accuracy")))
        before = _number(result.get("accuracy_before")) if known.evaluates == "training" else None
    values = tuple(zip(table.head, table.rows[0], strict=False)) if table is not None and table.rows else ()
    warnings = result.get("warnings")
    return StageFigures(
        accuracy,
        values,
        tuple(map(str, warnings)) if isinstance(warnings, list) else (),
        before,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
