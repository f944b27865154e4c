"""Evaluations of an experiment's runs by step, grouped by condition and seed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cogtui.analysis.intervals import MeanEstimate, estimate_mean
from cogtui.analysis.problem_outcomes import Outcomes, describe_outcomes, measure_outcomes, read_outcomes
from jobs.planning.cell import Cell
from jobs.recipe.labels import Label, label_text
from jobs.workspace import Workspace
from pipelines.behaviors.metrics.prediction_powered import CorrectedMean
from pipelines.folder import StageFolder
from pipelines.stages.builtin import find_kind
from pipelines.stages.kinds import Evaluation
from pipelines.streams import read_stream


@dataclass(frozen=True, slots=True)
class EvaluatedRun:
    """One evaluated stage: one condition and one seed."""

    group: str
    """The condition, or all labels except the seed if there are others."""
    condition: str | None
    seed: int | None
    key: str
    name: str
    """Name of the stage in the recipe."""
    points: Mapping[int, Mapping[str, float]]
    """Metrics of the evaluation by step."""
    last: int | None
    """The last training step; None if the config does not state it."""
    labels: Mapping[str, Label] = field(default_factory=dict)
    """The matrix values of its cell, without the seed."""
    folder: Path | None = None
    """The stage folder; None for a run that is not on disk."""
    stream: str = "eval"
    """The stream of its evaluated completions."""

    @property
    def start(self) -> Mapping[str, float] | None:
        """The evaluation before any training."""
        return self.points.get(0)

    @property
    def end(self) -> Mapping[str, float] | None:
        """The evaluation after all training; None if the run has not finished."""
        if self.last is None:
            return self.points[max(self.points)] if self.points else None
        return self.points.get(self.last)

    @property
    def trained(self) -> bool:
        """Whether the stage trains between start and end."""
        return self.last is not None and self.last > 0


@dataclass(frozen=True)
class ConditionGroup:
    """The runs of a condition, one per seed."""

    name: str
    condition: str | None
    runs: tuple[EvaluatedRun, ...] = field(repr=False)
    corrections: Mapping[tuple[str, str], CorrectedMean] = field(default_factory=dict, repr=False)
    """Means corrected by gold, by measure and moment (`start` or `end`)."""

    @cached_property
    def finished(self) -> tuple[EvaluatedRun, ...]:
        """The runs with a final evaluation."""
        return tuple(run for run in self.runs if run.end is not None)

    def values(self, measure: str, when: str) -> dict[int, float]:
        """Return a measure by seed.

        Args:
            measure: a metric of the evaluation, e.g. `accuracy`, or one over its problems, e.g. `pass@8`
                (`measure_outcomes`).
            when: `start`, `end`, or `gain`, which is the end less the start; there is none without training.

        Only finished runs count, at the start too, so that start, end and gain are of the same runs. Runs without a
        seed are numbered from -1 down: they are never paired with another condition's seeds.
        """
        found = {}
        for place, run in enumerate(self.finished):
            value = _value(run, measure, when)
            if value is not None:
                found[run.seed if run.seed is not None else -1 - place] = value
        return found or self._problem_measures(measure, when)

    def _problem_measures(self, measure: str, when: str) -> dict[int, float]:
        """Return a measure over problems by seed; empty if there is none of this name."""
        if "@" not in measure:
            return {}
        if when == "gain":
            starts, ends = (self._problem_measures(measure, moment) for moment in ("start", "end"))
            return {seed: end - starts[seed] for seed, end in ends.items() if seed in starts}
        measured = {seed: measure_outcomes(found, measure) for seed, found in self.outcomes(when).items()}
        return {seed: value for seed, value in measured.items() if value is not None}

    @property
    def labels(self) -> Mapping[str, Label]:
        """The matrix values that its runs share: all but the seed."""
        return self.runs[0].labels

    @property
    def seeds_text(self) -> str:
        """`3 of 5 seeds` where some runs have no final evaluation, else `5 seeds`."""
        done, planned = len(self.finished), len(self.runs)
        return f"{done} of {planned} seeds" if done < planned else f"{done} {'seed' if done == 1 else 'seeds'}"

    @cached_property
    def _outcomes(self) -> dict[int, dict[int, Outcomes]]:
        """Completions by problem, by seed and step, of the first and last evaluations of the finished runs."""
        found = {}
        for place, run in enumerate(self.finished):
            if run.folder is not None:
                last = max(run.points) if run.last is None else run.last
                seed = run.seed if run.seed is not None else -1 - place
                found[seed] = read_outcomes(run.folder, run.stream, frozenset((0, last)))
        return found

    def outcomes(self, when: str) -> dict[int, Outcomes]:
        """Return the completions by problem, by seed, at the `start` or the `end`."""
        return {
            seed: steps[step]
            for seed, steps in self._outcomes.items()
            if steps and (step := 0 if when == "start" else max(steps)) in steps
        }

    def problem_accuracy(self, when: str) -> dict[int, dict[str, float]]:
        """Return accuracy by problem, by seed; `when` as in `values`."""
        if when == "gain":
            starts, ends = self.problem_accuracy("start"), self.problem_accuracy("end")
            return {
                seed: {name: end - starts[seed][name] for name, end in ends[seed].items() if name in starts[seed]}
                for seed in ends
                if seed in starts
            }
        return {
            seed: {problem: one.accuracy for problem, one in found.items()}
            for seed, found in self.outcomes(when).items()
        }

    def outcome_estimates(self, when: str) -> dict[str, MeanEstimate]:
        """Estimate pass@k, Cover@τ and the number of distinct answers a problem, over seeds."""
        by_seed = [describe_outcomes(found) for found in self.outcomes(when).values()]
        names = [name for name in (by_seed[0] if by_seed else {}) if all(name in one for one in by_seed)]
        estimates = {name: estimate_mean([one[name] for one in by_seed]) for name in names}
        return {name: found for name, found in estimates.items() if found is not None}

    def estimate(self, measure: str, when: str) -> MeanEstimate | None:
        """Estimate the mean of a measure over seeds; None if no run has a value."""
        return estimate_mean(list(self.values(measure, when).values()))

    def curve(self, measure: str) -> list[tuple[int, MeanEstimate]]:
        """Estimate a measure by step, over the runs that were evaluated at that step."""
        by_step: dict[int, list[float]] = {}
        for run in self.runs:
            for step, values in run.points.items():
                if measure in values:
                    by_step.setdefault(step, []).append(values[measure])
        return [
            (step, found) for step, values in sorted(by_step.items()) if (found := estimate_mean(values)) is not None
        ]

    @property
    def rollouts(self) -> int:
        """Number of completions in the final evaluations of all finished runs."""
        return int(sum((run.end or {}).get("n", 0) for run in self.finished))


def _value(run: EvaluatedRun, measure: str, when: str) -> float | None:
    start, end = (None if point is None else point.get(measure) for point in (run.start, run.end))
    if when == "start":
        return start
    if when == "end":
        return end
    return None if start is None or end is None or not run.trained else end - start


def load_runs(workspace: Workspace, cells: Iterable[Cell]) -> list[EvaluatedRun]:
    """Return the evaluated stages of the cells, each once; those that never began have no points.

    Where a cell has stages that evaluate while they train (`ppo`), these are its runs: a `sample` beside them evaluates
    the same model again. Samples of training problems are no evaluation.
    """
    cells = list(cells)
    dimensions = {name for cell in cells for name in cell.labels} - {"seed"}
    found: dict[tuple[str, str], EvaluatedRun] = {}
    for cell in cells:
        others = {name: value for name, value in cell.labels.items() if name != "seed"}
        group = str(cell.labels["condition"]) if dimensions == {"condition"} else label_text(others)
        evaluations = {name: _evaluation_of(key) for name, key in cell.stages.items()}
        wanted: Evaluation = "training" if "training" in evaluations.values() else "once"
        for name, key in cell.stages.items():
            if evaluations[name] == wanted:
                run = _run(workspace.folder(key), cell, group or name, name)
                if run is not None:
                    found.setdefault((key, group), run)
    return list(found.values())


def _evaluation_of(key: str) -> Evaluation:
    kind = find_kind(key.partition("-")[0])
    return "none" if kind is None else kind.evaluates


def _run(folder: StageFolder, cell: Cell, group: str, name: str) -> EvaluatedRun | None:
    """Read one evaluated stage; None for samples of training problems, which are no evaluation."""
    condition, seed = cell.labels.get("condition"), cell.labels.get("seed")
    known = (folder.path / "stage.json").is_file()
    config: Mapping[str, Any] = folder.info().config if known else {}
    trains = _evaluation_of(folder.path.name) == "training"
    split = str(config.get("split", "test"))
    if not trains and split == "train":
        return None
    return EvaluatedRun(
        group=group,
        condition=None if condition is None else str(condition),
        seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        key=folder.path.name,
        name=name,
        points=dict(_points(folder, "eval" if trains else split)),
        last=int(config["steps"]) if trains and "steps" in config else None,
        labels={name: value for name, value in cell.labels.items() if name != "seed"},
        folder=folder.path,
        stream="eval" if trains else split,
    )


def _points(folder: StageFolder, stream: str) -> Iterator[tuple[int, dict[str, float]]]:
    seen = set()
    for record in read_stream(folder.path, "metrics"):
        step = record.get("step")
        if record.get("stream") == f"metrics-{stream}" and isinstance(step, int) and step not in seen:
            seen.add(step)
            yield step, dict(record["values"])


def group_runs(runs: Sequence[EvaluatedRun]) -> list[ConditionGroup]:
    """Group the runs in the order of the recipe."""
    by_name: dict[str, list[EvaluatedRun]] = {}
    for run in runs:
        by_name.setdefault(run.group, []).append(run)
    return [ConditionGroup(name, found[0].condition, tuple(found)) for name, found in by_name.items()]


def list_unfinished(groups: Iterable[ConditionGroup]) -> list[str]:
    """Describe the runs that have no final evaluation and are left out."""
    lines = []
    for group in groups:
        for run in group.runs:
            if run.end is None:
                seed = "" if run.seed is None else f" seed {run.seed}"
                at = f"evaluated up to step {max(run.points)} of {run.last}" if run.points else "not evaluated yet"
                lines.append(f"{group.name}{seed}: {at}; left out")
    return lines
