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


def read_figures(workspace: Workspace, key: str, kind: str) -> StageFigures:
    """Read the figures of a finished stage. A damaged or missing result has none."""
    try:
        result = workspace.folder(key).result() or {}
        known = find_kind(kind)
        table = None if known is None else known.result_table_of([result])
    except (CogtuiError, OSError, ValueError, TypeError, LookupError):  # the table of a plug-in's kind included
        return StageFigures()
    accuracy = None
    if known is not None and known.evaluates != "none":
        accuracy = result.get("accuracy_after", result.get("accuracy"))
    values = tuple(zip(table.head, table.rows[0], strict=False)) if table is not None and table.rows else ()
    warnings = result.get("warnings")
    return StageFigures(
        float(accuracy) if isinstance(accuracy, int | float) and not isinstance(accuracy, bool) else None,
        values,
        tuple(map(str, warnings)) if isinstance(warnings, list) else (),
    )
