"""The published curves, for comparison."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cogtui.analysis.curves import Measure
from pipelines.behaviors.sets.four_habits import FOUR_HABITS


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """One training step of one published run."""

    model: str
    """`llama` or `qwen`, both 3B; the single point of condition `base_70b` is the large Llama."""
    condition: str
    """The condition under its name in this project."""
    step: int
    accuracy: float
    length: float
    """As published; its unit is not stated."""
    counts: Mapping[str, float]
    """Behaviour → mean count per response."""
    judged: int | None
    """Number of responses that the counts are over; None where all counts are zero, so that it cannot be inferred."""

    def value(self, measure: Measure) -> float | None:
        """Return the value of a measure; None if it was not published."""
        return {"accuracy": self.accuracy, "length": self.length, **self.counts}.get(measure)


@cache
def published_points() -> tuple[PublishedPoint, ...]:
    """Return all published points by model, condition and step. Source: `published/SOURCE.md` beside the data."""
    points = [
        PublishedPoint(
            model=row["model"],
            condition=row["condition"],
            step=int(row["step"]),
            accuracy=float(row["accuracy"]),
            length=float(row["length"]),
            counts={behavior: float(row[behavior]) for behavior in FOUR_HABITS.names},
            judged=int(row["judged"]) if row["judged"] else None,
        )
        for row in _rows("curves.csv")
    ]
    return tuple(sorted(points, key=lambda point: (point.model, point.condition, point.step)))


def published_curve(model: str, condition: str, measure: Measure) -> list[tuple[int, float]]:
    """Return a published curve as (step, value); empty if nothing was published."""
    return [
        (point.step, value)
        for point in published_points()
        if point.model == model and point.condition == condition and (value := point.value(measure)) is not None
    ]


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("cogtui.analysis") / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
