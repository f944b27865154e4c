"""An experiment as a matrix: one row per run, one column per stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cogtui.app.rendering.states import URGENCY
from cogtui.app.stages.facts import short_title
from jobs.state.types import StageState, StateName

if TYPE_CHECKING:
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


def count_states(experiment: Experiment, states: Mapping[str, StageState]) -> dict[StateName, int]:
    """Count the distinct stages of the experiment by state, the most urgent state first."""
    keys = {key for cell in experiment.cells for key in cell.stages.values()}
    counts: dict[StateName, int] = dict.fromkeys(URGENCY, 0)
    for key in keys:
        counts[states[key].state if key in states else "planned"] += 1
    return {state: count for state, count in counts.items() if count}
