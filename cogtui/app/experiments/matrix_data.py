"""An experiment as a matrix: one row per run, one column per stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogtui.app.rendering.states import URGENCY
from cogtui.app.rendering.styles import SERIES_STYLES, StyleName
from cogtui.app.stages.facts import short_title
from cogtui.palette import series_slots
from jobs.state.types import StageState, StateName

if TYPE_CHECKING:
    from cogtui.app.shell.snapshot import WorkspaceSnapshot
    from cogtui.app.shell.stage_figures import StageFigures
    from jobs.planning.cell import Cell
    from jobs.planning.experiments import Experiment


@dataclass(frozen=True, slots=True)
class ExperimentMatrix:
    """The stages of an experiment by row and column. States are looked up when it is drawn."""

    columns: tuple[str, ...]
    """Stage names in dependency order."""
    rows: tuple[str, ...]
    """Titles of the runs."""
    keys: tuple[tuple[str | None, ...], ...]
    """Stage keys by row and column; None where a run leaves out the stage."""


def build_matrix(experiment: Experiment) -> ExperimentMatrix:
    """Build the matrix of an experiment. Labels that are equal in every run are left out of the titles."""
    columns: list[str] = []
    for cell in experiment.cells:
        previous = -1
        for name in cell.stages:
            if name in columns:
                previous = max(previous, columns.index(name))
            else:
                previous += 1
                columns.insert(previous, name)
    varying = [
        name
        for name in dict.fromkeys(label for cell in experiment.cells for label in cell.labels)
        if len({repr(cell.labels.get(name)) for cell in experiment.cells}) > 1
    ]
    titles = []
    for cell in experiment.cells:
        labels = {name: value for name, value in cell.labels.items() if name in varying} or cell.labels
        titles.append(short_title(labels) or cell.title)
    keys = tuple(tuple(cell.stages.get(name) for name in columns) for cell in experiment.cells)
    return ExperimentMatrix(tuple(columns), tuple(titles), keys)


def has_seeds(experiment: Experiment) -> bool:
    """Return whether some cells differ in their seed alone, so that a row per group and a column per seed pays."""
    groups = [_group_title(cell) for cell in experiment.cells]
    return len(set(groups)) < len(groups)


def build_seed_matrix(
    experiment: Experiment, states: Mapping[str, StageState], figures: Mapping[str, StageFigures]
) -> ExperimentMatrix:
    """Build the matrix of groups down and seeds across, with the most telling stage of each cell."""
    seeds = list(dict.fromkeys(str(cell.labels.get("seed", "–")) for cell in experiment.cells))
    groups = list(dict.fromkeys(_group_title(cell) for cell in experiment.cells))
    keys: dict[tuple[str, str], str | None] = {}
    for cell in experiment.cells:
        keys[_group_title(cell), str(cell.labels.get("seed", "–"))] = telling_stage(cell, states, figures)
    return ExperimentMatrix(
        tuple(f"seed {seed}" for seed in seeds),
        tuple(groups),
        tuple(tuple(keys.get((group, seed)) for seed in seeds) for group in groups),
    )


def condition_styles(experiment: Experiment, matrix: ExperimentMatrix) -> tuple[StyleName, ...]:
    """Return the style of each row's title: the colour of its condition, where rows are conditions and nothing else."""
    names = {str(cell.labels["condition"]) for cell in experiment.cells if "condition" in cell.labels}
    slots = series_slots(names)
    return tuple(SERIES_STYLES[slots[row]] if row in slots else "" for row in matrix.rows)


def _group_title(cell: Cell) -> str:
    return short_title({name: value for name, value in cell.labels.items() if name != "seed"}) or "all runs"


def telling_stage(cell: Cell, states: Mapping[str, StageState], figures: Mapping[str, StageFigures]) -> str | None:
    """Return the stage of a cell that says most: a failed one, else a running one, else the last with a result."""
    keys = list(cell.stages.values())
    for wanted in (("failed", "timeout", "lost"), ("running", "resuming")):
        for key in keys:
            if key in states and states[key].state in wanted:
                return key
    measured = [key for key in keys if key in figures and figures[key].accuracy is not None]
    if measured:
        return measured[-1]
    waiting = [key for key in keys if key in states and states[key].state in ("queued", "blocked", "preempted")]
    return waiting[0] if waiting else keys[-1] if keys else None


def count_unread(experiment: Experiment, snapshot: WorkspaceSnapshot) -> int:
    """Return how many stages of the experiment are not read yet."""
    if not snapshot.unread:
        return 0
    return len({key for cell in experiment.cells for key in cell.stages.values()} - set(snapshot.states))


def count_states(experiment: Experiment, states: Mapping[str, StageState]) -> dict[StateName, int]:
    """Count the distinct stages of the experiment by state, the most urgent state first."""
    keys = {key for cell in experiment.cells for key in cell.stages.values()}
    counts: dict[StateName, int] = dict.fromkeys(URGENCY, 0)
    for key in keys:
        counts[states[key].state if key in states else "planned"] += 1
    return {state: count for state, count in counts.items() if count}
