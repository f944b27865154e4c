"""Metrics of a stage, read back from its stream, so that results hold after any number of resumes."""

import math
from collections.abc import Mapping

from pipelines.errors import StageFailed
from pipelines.folder import StageFolder
from pipelines.streams import read_stream


def read_metrics(folder: StageFolder, name: str) -> dict[int, dict[str, float]]:
    """Return the metrics of the stream `metrics-NAME` by step."""
    found: dict[int, dict[str, float]] = {}
    for record in read_stream(folder.path, "metrics"):
        if record.get("stream") == f"metrics-{name}":
            found.setdefault(int(record["step"]), dict(record["values"]))
    return found


def read_last_metrics(folder: StageFolder, name: str) -> dict[str, float]:
    """Return the metrics of the last step; empty without one."""
    found = read_metrics(folder, name)
    return found[max(found)] if found else {}


def require_finite(values: Mapping[str, float], what: str, *, remedy: str) -> None:
    """Check that all metrics of a step are finite.

    Args:
        values: metrics by name.
        what: the step, for the message.
        remedy: what to change if they are not.

    Raises:
        StageFailed: a value is NaN or infinite; the message lists them all.
    """
    if not all(map(math.isfinite, values.values())):
        raise StageFailed(
            f"{what} has values that are not finite",
            detail=", ".join(f"{name} {value}" for name, value in values.items()),
            remedy=remedy,
        )
