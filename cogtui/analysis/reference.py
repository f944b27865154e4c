"""The published curves, to be set beside one's own."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cogtui.analysis.curves import Measure
from pipelines.behaviors.sets.registered import BEHAVIORS


@dataclass(frozen=True, slots=True)
class PublishedPoint:
    """One training step of one published run."""

    model: str
    """`llama` or `qwen`, of 3B parameters; the one point of condition `base_70b` is of the large Llama."""
    condition: str
    """As this project spells it."""
    step: int
    accuracy: float
    length: float
    """As published; its unit is not stated."""
    counts: tuple[float, float, float, float]
    """Mean count per response, by behaviour."""
    judged: int | None
    """Responses the counts are over; None where that cannot be worked out, since all are zero."""

    def value(self, measure: Measure) -> float | None:
        """The value of a measure; None for those that were not published."""
        for behavior, count in zip(BEHAVIORS, self.counts, strict=True):
            if behavior == measure:
                return count
        return {"accuracy": self.accuracy, "length": self.length}.get(measure)


@cache
def published_points() -> tuple[PublishedPoint, ...]:
    """All published points, by model, condition and step. Source: `published/SOURCE.md` beside the data."""
    points = [
        PublishedPoint(
            model=row["model"],
            condition=row["condition"],
            step=int(row["step"]),
            accuracy=float(row["accuracy"]),
            length=float(row["length"]),
            counts=(
                float(row["verification"]),
                float(row["backtracking"]),
                float(row["subgoal"]),
                float(row["backward_chaining"]),
            ),
            judged=int(row["judged"]) if row["judged"] else None,
        )
        for row in _rows("curves.csv")
    ]
    return tuple(sorted(points, key=lambda point: (point.model, point.condition, point.step)))


def published_curve(model: str, condition: str, measure: Measure) -> list[tuple[int, float]]:
    """A published curve as (step, value); empty where nothing was published."""
    return [
        (point.step, value)
        for point in published_points()
        if point.model == model and point.condition == condition and (value := point.value(measure)) is not None
    ]


def _rows(name: str) -> list[dict[str, str]]:
    text = (files("cogtui.analysis") / "published" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
