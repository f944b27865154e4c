"""Two experiments compared: each condition that both have, seed by seed where they share seeds, and configs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cogtui.analysis.config_differences import Difference, compare_experiments
from cogtui.analysis.experiment_summary import ExperimentSummary
from cogtui.analysis.intervals import MeanEstimate, estimate_difference
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.analysis.tables import MISSING, TextTable, format_estimate
from jobs.planning.experiments import Experiment
from jobs.workspace import Workspace
from pipelines.behaviors.sets.four_habits import FOUR_HABITS

_MEASURES: Final = (
    ("accuracy", "end", "accuracy at the end", 3),
    ("accuracy", "gain", "gain in accuracy", 3),
    ("accuracy", "start", "accuracy at step 0", 3),
    *((name, "end", f"{name.replace('_', ' ')} a completion at the end", 2) for name in FOUR_HABITS.names),
    ("length", "end", "tokens at the end", 1),
)


@dataclass(frozen=True, slots=True)
class ConditionDifference:
    """One measure of one condition in both experiments."""

    condition: str
    measure: str
    when: str
    first: MeanEstimate | None
    second: MeanEstimate | None
    difference: MeanEstimate | None
    """Second minus first; None where one side has no value."""
    same_runs: bool
    """Both experiments have the same runs of this condition, so that there is nothing to compare."""

    @property
    def verdict(self) -> str:
        """Whether the interval of the difference excludes zero."""
        found = self.difference
        if self.same_runs:
            return "the same runs"
        if found is None or found.low is None or found.high is None:
            return "no interval"
        return "higher" if found.low > 0 else "lower" if found.high < 0 else "undecided"


@dataclass(frozen=True, slots=True)
class ExperimentComparison:
    """A second experiment compared with a first."""

    first: str
    second: str
    differences: tuple[ConditionDifference, ...]
    only_first: tuple[str, ...]
    """Conditions of the first alone."""
    only_second: tuple[str, ...]
    configs: tuple[Difference, ...]
    """In what recipes, configs, code and packages differ."""

    def tables(self) -> list[TextTable]:
        """Return a table for each measure that both have a value of, and one of the configs."""
        tables = []
        for measure, when, title, digits in _MEASURES:
            found = [one for one in self.differences if (one.measure, one.when) == (measure, when)]
            if any(one.difference is not None for one in found):
                rows = tuple(_row(one, digits) for one in found)
                tables.append(TextTable(title, ("", "seeds", "first", "second", "second − first", "verdict"), rows))
        if self.configs:
            rows = tuple((one.name, one.left, one.right) for one in self.configs)
            tables.append(TextTable("differs in", ("field", "first", "second"), rows))
        return tables

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "experiment": self.first,
            "differences": [
                {
                    "condition": one.condition,
                    "measure": one.measure,
                    "when": one.when,
                    "here": None if one.second is None else one.second.as_data(),
                    "there": None if one.first is None else one.first.as_data(),
                    "difference": {**one.difference.as_data(), "paired": one.difference.paired},
                    "verdict": one.verdict,
                }
                for one in self.differences
                if one.difference is not None
            ],
            "only_here": list(self.only_second),
            "only_there": list(self.only_first),
            "configs": [{"field": one.name, "here": one.right, "there": one.left} for one in self.configs],
        }


def compare_two(
    summaries: Sequence[ExperimentSummary], experiments: Sequence[Experiment], workspace: Workspace
) -> ExperimentComparison:
    """Compare a second experiment with a first: two summaries, and their snapshots.

    Conditions are matched by name; where each experiment has one alone, these two are compared.
    """
    first, second = ({group.name: group for group in summary.groups if group.runs} for summary in summaries)
    pairs = {name: (first[name], second[name]) for name in first if name in second}
    if not pairs and len(first) == len(second) == 1:
        (left,), (right,) = first.values(), second.values()
        pairs = {f"{left.name} → {right.name}": (left, right)}
    matched = {group.name for pair in pairs.values() for group in pair}
    return ExperimentComparison(
        summaries[0].name,
        summaries[1].name,
        tuple(_differences(pairs)),
        tuple(name for name in first if name not in matched),
        tuple(name for name in second if name not in matched),
        tuple(compare_experiments(experiments[0], experiments[1], workspace)),
    )


def _differences(pairs: dict[str, tuple[ConditionGroup, ConditionGroup]]) -> Iterator[ConditionDifference]:
    for name, (left, right) in pairs.items():
        same = {run.key for run in left.finished} == {run.key for run in right.finished}
        for measure, when, _, _ in _MEASURES:
            yield ConditionDifference(
                name,
                measure,
                when,
                left.estimate(measure, when),
                right.estimate(measure, when),
                estimate_difference(right.values(measure, when), left.values(measure, when)),
                same and bool(left.finished),
            )


def _row(one: ConditionDifference, digits: int) -> tuple[str, ...]:
    found = one.difference
    if found is None:
        seeds = MISSING
    elif found.paired:
        seeds = f"{found.n} paired"
    else:
        seeds = " and ".join(str(side.n) for side in (one.first, one.second) if side is not None)
    difference = MISSING if one.same_runs else format_estimate(found, digits, sign=True)
    return (
        one.condition,
        seeds,
        format_estimate(one.first, digits),
        format_estimate(one.second, digits),
        difference,
        one.verdict,
    )
