"""The summary of an experiment: one row per condition, the paper's claims, and the published figures for comparison."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from cogtui.analysis.claims import Claim, decide_claims
from cogtui.analysis.gold_correction import GoldCorrections, corrections_data, find_corrections
from cogtui.analysis.outcomes import ConditionGroup, group_runs, list_unfinished, load_runs
from cogtui.analysis.reference import PublishedPoint, published_points
from jobs.planning.cell import Cell
from jobs.recipe.claims import read_compare_table
from jobs.workspace import Workspace
from pipelines.behaviors.sets.four_habits import FOUR_HABITS

MOMENTS: Final = ("start", "end", "gain")
MEASURES: Final = (
    "accuracy", "reward", "format_rate", "truncation_rate", "length", *FOUR_HABITS.names, "attempts",
    "attempt_legality", "attempt_completeness", "attempt_hit_rate", "equation_accuracy", "yes_on_hit", "yes_on_miss",
)  # fmt: skip
"""Metrics of an evaluation that are summarised. The rules judge counts the behaviours."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """First and last point of a published curve, which is a single run and so has no interval."""

    model: str
    condition: str
    first: PublishedPoint
    last: PublishedPoint


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """Groups, claims and published figures of an experiment."""

    name: str
    groups: tuple[ConditionGroup, ...]
    claims: tuple[Claim, ...]
    warnings: tuple[str, ...]
    """The runs that are left out, each with its reason."""
    published: tuple[PublishedRow, ...] = ()
    corrections: GoldCorrections | None = None
    """Counts corrected by people's labels; None where the judge's error was not asked for."""

    @property
    def trained(self) -> bool:
        """Whether there are runs with a start and an end rather than one evaluation."""
        return any(run.trained for group in self.groups for run in group.runs)

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "experiment": self.name,
            "groups": [_group_data(group, self.corrections) for group in self.groups],
            "claims": [claim.as_data() for claim in self.claims],
            "published": [_published_data(row) for row in self.published],
            "judge_error": None
            if self.corrections is None
            else {"labels": self.corrections.labels, "notes": self.corrections.notes()},
        }


def summarise_experiment(
    name: str,
    cells: Iterable[Cell],
    workspace: Workspace,
    *,
    recipe: str = "",
    reference: bool = False,
    judge_error: bool = False,
) -> ExperimentSummary:
    """Summarise an experiment from the evaluations that its stages wrote.

    Args:
        name: of the experiment.
        cells: its cells, with the keys of their stages.
        workspace: where the stages lie.
        recipe: its text; its `[compare]` table names the reference cell and more claims.
        reference: whether to set the published figures of its conditions beside it.
        judge_error: whether to correct the counts of behaviours by people's labels, and to decide claims by them.
    """
    groups = group_runs(load_runs(workspace, cells))
    corrections = find_corrections(workspace, groups) if judge_error else None
    if corrections is not None:
        groups = [replace(group, corrections=corrections.of_group(group.name)) for group in groups]
    rows = _published({group.condition for group in groups if group.condition}) if reference else []
    return ExperimentSummary(
        name,
        tuple(groups),
        tuple(decide_claims(groups, read_compare_table(recipe))),
        tuple(list_unfinished(groups)),
        tuple(rows),
        corrections,
    )


def _published(conditions: set[str]) -> list[PublishedRow]:
    curves: dict[tuple[str, str], list[PublishedPoint]] = {}
    for point in published_points():
        if point.condition in conditions:
            curves.setdefault((point.model, point.condition), []).append(point)
    return [PublishedRow(model, condition, found[0], found[-1]) for (model, condition), found in curves.items()]


def _group_data(group: ConditionGroup, corrections: GoldCorrections | None) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    for measure in MEASURES:
        found = {when: group.estimate(measure, when) for when in MOMENTS}
        if any(found.values()):
            measures[measure] = {when: None if one is None else one.as_data() for when, one in found.items()}
    return {
        "name": group.name,
        "condition": group.condition,
        "runs": [
            {
                "key": run.key,
                "seed": run.seed,
                "finished": run.end is not None,
                "points": [{"step": step, "values": dict(values)} for step, values in sorted(run.points.items())],
            }
            for run in group.runs
        ],
        "labels": dict(group.labels),
        "n": group.rollouts,
        "measures": measures,
        "corrected": None if corrections is None else corrections_data(corrections, group.name),
        "outcomes": {
            when: {name: one.as_data() for name, one in group.outcome_estimates(when).items()}
            for when in ("start", "end")
        },
    }


def _published_data(row: PublishedRow) -> dict[str, Any]:
    def point(one: PublishedPoint) -> dict[str, Any]:
        return {"step": one.step, "accuracy": one.accuracy, "length": one.length, "judged": one.judged, **one.counts}

    return {"model": row.model, "condition": row.condition, "first": point(row.first), "last": point(row.last)}
