"""Table of what priming data stages report, and the published accuracy that stands beside it."""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pipelines.behaviors.sets.registered import behavior_names
from pipelines.stages.kinds import Result, StageTable
from pipelines.stages.table_text import MISSING, count_text, figure_text

_BREACHES: Final = ("unwanted", "incomplete")
"""Shares of traces that show what their condition forbids, and that lack what it asks for."""


def priming_table(results: Sequence[Result]) -> StageTable:
    """Return accuracy beside the published one, the share of traces with each behaviour, breaches and cost."""
    published = published_teacher_accuracy()
    names = behavior_names(results)
    rows = [
        (
            count_text(result.get("n")),
            figure_text(result.get("accuracy")),
            MISSING
            if result.get("teacher") == "symbolic"
            else figure_text(published.get(str(result.get("condition")))),
            *(figure_text(((result.get("behaviors") or {}).get(name) or {}).get("present")) for name in names),
            *(_share_text((result.get("adherence") or {}).get(name), result.get("n")) for name in _BREACHES),
            _dollars(result.get("spent")),
        )
        for result in results
    ]
    return StageTable(("n", "accuracy", "published", *(f"{name} in" for name in names), *_BREACHES, "cost"), rows)


@cache
def published_teacher_accuracy() -> dict[str, float]:
    """Return the share of right answers among the priming traces Claude wrote, by condition.

    Source: `published/SOURCE.md` beside the data.
    """
    text = (files("pipelines.teachers") / "published" / "teacher.csv").read_text(encoding="utf-8")
    return {row["condition"]: float(row["accuracy"]) for row in csv.DictReader(text.splitlines())}


def _share_text(count: Any, n: Any) -> str:
    return f"{count / n:.3f}" if isinstance(count, int) and isinstance(n, int) and n else MISSING


def _dollars(spent: Any) -> str:
    cost = spent.get("cost_usd") if isinstance(spent, Mapping) else None
    return f"${cost:.2f}" if isinstance(cost, int | float) else MISSING
