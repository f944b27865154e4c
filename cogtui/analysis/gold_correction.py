"""Counts of an experiment corrected by people's final labels, with the error of the judge in their intervals.

Statistics: `pipelines.behaviors.metrics.prediction_powered`. A correction is of one condition at one step, the start or
the end: a judge errs differently there, so labels of another step or condition say nothing about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cogtui.analysis.evaluated_counts import JudgedEvaluation, evaluated_ids, judge_evaluation
from cogtui.analysis.intervals import MeanEstimate, add_judge_error, estimate_mean
from cogtui.analysis.outcomes import ConditionGroup, EvaluatedRun
from cogtui.store.user_data.annotations import latest_annotations
from cogtui.store.user_data.final_labels import FinalLabel, final_labels
from jobs.recipe.claims import Moment
from jobs.workspace import Workspace
from pipelines.behaviors.metrics.prediction_powered import (
    MIN_GOLD,
    CorrectedMean,
    GoldPair,
    JudgedRun,
    VarianceComponent,
    correct_mean,
)
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.records import Behavior

PRESENCE: Final = "presence of "
"""Measures with this prefix are the share of completions that show a behaviour."""
_FAR: Final = 3.0
"""Standard errors from which a gold sample hardly was drawn at random."""
_MOMENTS: Final[tuple[Moment, ...]] = ("start", "end")


def corrected_measures() -> tuple[str, ...]:
    """Return the measures that gold can correct: mean counts, then presence."""
    return (*FOUR_HABITS.names, *(f"{PRESENCE}{name}" for name in FOUR_HABITS.names))


@dataclass(frozen=True, slots=True)
class CellGold:
    """The labels of one condition at one moment."""

    group: str
    when: Moment
    labels: int
    """Completions with a final label of their text."""
    differ: int
    """Of these, how many annotators label differently and nobody decided."""
    other_text: int
    led: int
    """Labels of annotators who started from the spans of a judge."""
    corrections: Mapping[str, CorrectedMean]
    """By measure; empty with too few labels."""


@dataclass(frozen=True)
class GoldCorrections:
    """The corrections of all cells of an experiment."""

    cells: Mapping[tuple[str, Moment], CellGold] = field(default_factory=dict)
    labels: int = 0
    """Final labels in the workspace."""
    vanished: int = 0
    """Final labels whose completion is in no evaluation of the experiment."""

    def find(self, group: str, measure: str, when: Moment) -> CorrectedMean | None:
        """Return the correction of a measure; None where it is not corrected."""
        cell = self.cells.get((group, when))
        return None if cell is None else cell.corrections.get(measure)

    def of_group(self, group: str) -> dict[tuple[str, str], CorrectedMean]:
        """Return the corrections of a condition, by measure and moment."""
        return {
            (measure, when): found
            for (name, when), cell in self.cells.items()
            if name == group
            for measure, found in cell.corrections.items()
        }

    @property
    def any(self) -> bool:
        """Whether anything is corrected."""
        return any(cell.corrections for cell in self.cells.values())

    def notes(self) -> list[str]:
        """Say what is not corrected and why, and what in the labels asks for attention."""
        if not self.labels:
            return ["nobody labelled a completion yet: the judge's error is in no interval (cogtui gold next)"]
        lines = []
        short = [cell for cell in self.cells.values() if not cell.corrections]
        if short:
            named = ", ".join(f"{cell.group} at the {cell.when} ({cell.labels})" for cell in short)
            lines.append(f"not corrected, fewer than {MIN_GOLD} labelled completions of several problems: {named}")
        for cell in self.cells.values():
            where = f"{cell.group} at the {cell.when}"
            if cell.other_text:
                lines.append(
                    f"{where}: {cell.other_text} labels are of another text or do not quote it, and are not used"
                )
            if cell.differ:
                lines.append(
                    f"{where}: annotators differ on {cell.differ} of {cell.labels} labelled completions; their mean is "
                    "used until somebody adjudicates"
                )
            if cell.led:
                lines.append(
                    f"{where}: {cell.led} of {cell.labels} labels were made from the spans of a judge, which lead "
                    "people to agree with it; annotate without (no J)"
                )
            lines += self._sample_notes(cell, where)
        return lines

    def _sample_notes(self, cell: CellGold, where: str) -> Iterable[str]:
        counts = [(name, cell.corrections[name]) for name in FOUR_HABITS.names if name in cell.corrections]
        if counts and has_gold_of_one_run(counts[0][1]):
            runs = len(counts[0][1].values)
            yield (
                f"{where}: labels of 1 of {runs} seeds; how the judge errs in the others is not known, so there is no "
                "interval over seeds"
            )
        far = [name for name, one in counts if one.imbalance is not None and abs(one.imbalance) > _FAR]
        if far:
            yield (
                f"{where}: the labelled completions do not look like a random sample (the judge's mean count of "
                f"{', '.join(far)} differs from that in all completions); the correction may be wrong"
            )


def has_gold_of_one_run(found: CorrectedMean) -> bool:
    """Return whether only one of several runs has labels: the judge's error in the others is then not known."""
    return found.gold_runs < 2 <= len(found.values)


def find_corrections(
    workspace: Workspace, groups: Sequence[ConditionGroup], labels: Mapping[str, FinalLabel] | None = None
) -> GoldCorrections:
    """Correct the behaviour counts of an experiment as far as its completions are labelled.

    Args:
        workspace: holds the annotations.
        groups: the conditions with their runs.
        labels: final labels by rollout, read from the workspace if not given.
    """
    known = final_labels(latest_annotations(workspace)) if labels is None else labels
    if not known:
        return GoldCorrections()
    used: set[str] = set()
    cells: dict[tuple[str, Moment], CellGold] = {}
    for group in groups:
        moments = {when: runs for when in _MOMENTS if (runs := runs_at(group, when))}
        steps: dict[str, set[int]] = {}
        for runs in moments.values():
            for run, step in runs.values():
                steps.setdefault(run.key, set()).add(step)
        ids = {
            run.key: evaluated_ids(run.folder, run.stream, frozenset(steps[run.key]))
            for run in group.finished
            if run.folder is not None and run.key in steps
        }
        for when, runs in moments.items():
            cells[group.name, when] = _correct_cell(group, when, runs, known, ids, used)
    return GoldCorrections(cells, len(known), len(known.keys() - used))


def runs_at(group: ConditionGroup, when: str) -> dict[int, tuple[EvaluatedRun, int]]:
    """Return run and step by seed, of the finished runs that are on disk."""
    found = {}
    for place, run in enumerate(group.finished):
        if run.folder is None or (when == "start" and not run.trained):
            continue
        step = 0 if when == "start" else (max(run.points) if run.last is None else run.last)
        found[run.seed if run.seed is not None else -1 - place] = (run, step)
    return found


def _correct_cell(
    group: ConditionGroup,
    when: Moment,
    runs: Mapping[int, tuple[EvaluatedRun, int]],
    labels: Mapping[str, FinalLabel],
    ids: Mapping[str, Mapping[int, Mapping[str, str]]],
    used: set[str],
) -> CellGold:
    """Correct a condition at a moment.

    Args:
        group, when: which.
        runs: run and step by seed.
        labels: final labels by rollout.
        ids: completions by run and step.
        used: receives the labelled completions.
    """
    labelled = 0
    for run, step in runs.values():
        mine = ids[run.key][step].keys() & labels.keys()
        used |= mine
        labelled += len(mine)
    if not labelled:
        return CellGold(group.name, when, 0, 0, 0, 0, {})
    judged: dict[int, JudgedEvaluation] = {}
    for seed, (run, step) in runs.items():
        assert run.folder is not None
        found = judge_evaluation(run.folder, run.stream, frozenset((step,)), labels, only_labelled=labelled < MIN_GOLD)
        judged[seed] = found.get(step, JudgedEvaluation())
    mine_labels = [one.label for found in judged.values() for one in found.completions if one.label is not None]
    corrections = {}
    if len(mine_labels) >= MIN_GOLD:
        for measure in corrected_measures():
            corrected = correct_evaluation(judged, measure)
            if corrected is not None:
                corrections[measure] = corrected
    return CellGold(
        group=group.name,
        when=when,
        labels=len(mine_labels),
        differ=sum(label.differ for label in mine_labels),
        other_text=sum(found.other_text for found in judged.values()),
        led=sum(label.is_led for label in mine_labels),
        corrections=corrections,
    )


def correct_evaluation(judged: Mapping[int, JudgedEvaluation], measure: str) -> CorrectedMean | None:
    """Correct a measure of one condition at one step.

    Args:
        judged: the completions by seed.
        measure: one of `corrected_measures`.
    """
    behavior = measure.removeprefix(PRESENCE)
    present = measure.startswith(PRESENCE)
    runs, gold = {}, []
    for seed, evaluation in judged.items():
        values = [_judged_value(one.counts, behavior, present=present) for one in evaluation.completions]
        if not values:
            continue
        runs[seed] = JudgedRun(sum(values) / len(values), len(values))
        for one, value in zip(evaluation.completions, values, strict=True):
            if one.label is not None:
                label = one.label.presence(behavior) if present else one.label.count(behavior)
                if label is not None:
                    gold.append(GoldPair(seed, one.problem, value, label))
    return correct_mean(runs, gold) if runs else None


def _judged_value(counts: Mapping[Behavior, int], behavior: Behavior, *, present: bool) -> float:
    return float(counts[behavior] > 0) if present else float(counts[behavior])


def estimate_corrected(found: CorrectedMean) -> MeanEstimate:
    """Return the corrected mean with an interval over seeds and judge error; without one where it cannot be known."""
    return widen_estimate(estimate_mean(list(found.values.values())), [(1.0, found)])


def widen_estimate(over_seeds: MeanEstimate | None, parts: Sequence[tuple[float, CorrectedMean]]) -> MeanEstimate:
    """Add the judge's error to an estimate over seeds.

    Args:
        over_seeds: of a weighted sum of corrected means.
        parts: the corrected means with their weights.
    """
    assert over_seeds is not None
    errors = [
        VarianceComponent(weight**2 * one.variance, one.freedom) for weight, part in parts for one in part.judge_error
    ]
    widened = add_judge_error(over_seeds, errors)
    if any(has_gold_of_one_run(part) for _, part in parts):
        return replace(widened, half=None, freedom=None)
    return widened


def corrections_data(corrections: GoldCorrections, group: str) -> dict[str, Any]:
    """Return the corrections of a condition for `--json`, by measure and moment."""
    data: dict[str, Any] = {}
    for measure in corrected_measures():
        for when in _MOMENTS:
            found = corrections.find(group, measure, when)
            if found is not None:
                data.setdefault(measure, {})[when] = {
                    **estimate_corrected(found).as_data(),
                    "raw": found.raw,
                    "slope": found.slope,
                    "gold": found.gold,
                    "gold_problems": found.problems,
                    "gold_seeds": found.gold_runs,
                    "imbalance": found.imbalance,
                }
    return data
