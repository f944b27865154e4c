"""Which completions to label next: those that make the judge's error in a claim smallest, and how many it takes.

The error of a comparison is the weighted sum of the errors of its cells, so a label is worth most in the cell with the
greatest w² σ² / n (n + 1): weight w, error variance σ² a completion, n labels so far (Neyman allocation, Cochran 1977,
section 5.5). Within a cell the order is random, because a correction is only right for a random sample: seeds take
turns, and problems without a label come first. The random order follows from the ids, so it is the same each time.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from cogtui.analysis.claims import Claim
from cogtui.analysis.comparisons import ClaimComparison
from cogtui.analysis.evaluated_counts import evaluated_ids
from cogtui.analysis.experiment_summary import ExperimentSummary
from cogtui.analysis.gold_correction import corrected_measures, runs_at
from cogtui.analysis.intervals import MeanEstimate, add_judge_error
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.store.user_data.final_labels import FinalLabel
from pipelines.behaviors.metrics.prediction_powered import MIN_GOLD, UNSEEN_ERROR, CorrectedMean, VarianceComponent
from pipelines.errors import InvalidInput, NotFound

ASSUMED_VARIANCE: Final = 1.0
"""Variance of a judge's error in a completion, where no cell has labels to estimate it: one miscount a completion."""
MOST_LABELS: Final = 10_000
"""Labels beyond which a half-width counts as out of reach."""


class QueuedCompletion(NamedTuple):
    """A completion to label."""

    rollout: str
    group: str
    when: Literal["start", "end"]
    seed: int
    problem: str


@dataclass(frozen=True, slots=True)
class QueueCell:
    """A cell of a comparison as the queue sees it."""

    group: str
    when: Literal["start", "end"]
    weight: float
    labels: int
    variance: float
    """Of the judge's error in a completion."""
    assumed: bool
    """Whether the variance was not estimated from labels of this cell."""
    between: tuple[VarianceComponent, ...]
    """Variance of the error between runs, which more labels do not make smaller."""
    completions: Mapping[int, Mapping[str, str]]
    """Problem by rollout id, by seed."""

    @property
    def name(self) -> str:
        """Condition and moment."""
        return f"{self.group} at the {self.when}"

    @property
    def size(self) -> int:
        """Number of completions."""
        return sum(map(len, self.completions.values()))

    def components(self, labels: int) -> list[VarianceComponent]:
        """Return the variance of the cell's part of the comparison with so many labels."""
        share = min(1.0, labels / self.size) if self.size else 1.0
        sampling = (self.variance / labels + UNSEEN_ERROR / (labels * (labels + 1))) * (1 - share**2)
        parts = [VarianceComponent(sampling, max(1, labels - 1)), *self.between]
        return [VarianceComponent(self.weight**2 * one.variance, one.freedom) for one in parts]


@dataclass(frozen=True, slots=True)
class GoldQueue:
    """The completions to label for one comparison."""

    claim: Claim
    comparison: ClaimComparison
    cells: tuple[QueueCell, ...]
    completions: tuple[QueuedCompletion, ...]
    seeds_half: float | None
    """Half the width of the interval over seeds alone; None with one seed."""

    def allocation(self, more: int) -> list[int]:
        """Return the labels of each cell after so many more."""
        counts = [cell.labels for cell in self.cells]
        for _ in range(more):
            place = _next_cell(self.cells, counts)
            if place is None:
                break
            counts[place] += 1
        return counts

    def half_width(self, counts: Sequence[int]) -> float | None:
        """Predict half the width of the interval with so many labels in each cell.

        Returns:
            None with fewer than five in a cell, or with one seed.
        """
        if self.seeds_half is None or any(
            count < min(MIN_GOLD, cell.size) for count, cell in zip(counts, self.cells, strict=True)
        ):
            return None
        seeds = self.comparison.difference
        bare = MeanEstimate(seeds.mean, self.seeds_half, seeds.n, freedom=max(1, seeds.n - 1))
        parts = [one for cell, count in zip(self.cells, counts, strict=True) for one in cell.components(count)]
        return add_judge_error(bare, parts).half

    def needed(self, half_width: float) -> int | None:
        """Return how many more labels give an interval of this half-width; None where no number does."""
        counts = [cell.labels for cell in self.cells]
        for more in range(MOST_LABELS):
            half = self.half_width(counts)
            if half is not None and half <= half_width:
                return more
            place = _next_cell(self.cells, counts)
            if place is None:
                return None
            counts[place] += 1
        return None


def _next_cell(cells: Sequence[QueueCell], counts: Sequence[int]) -> int | None:
    """Return the cell whose next label makes the variance smallest; None where everything is labelled."""
    open_cells = [place for place, cell in enumerate(cells) if counts[place] < cell.size]
    short = [place for place in open_cells if counts[place] < MIN_GOLD]
    if short:
        return min(short, key=lambda place: counts[place])

    def gain(place: int) -> float:
        cell, n = cells[place], counts[place]
        return cell.weight**2 * (cell.variance + UNSEEN_ERROR / (n + 1)) / (n * (n + 1))

    return max(open_cells, key=gain, default=None)


def choose_comparison(
    summary: ExperimentSummary, claim: str | None, about: str | None
) -> tuple[Claim, ClaimComparison]:
    """Return the comparison of a claim that labels would tell most about: one without correction, else the widest.

    Args:
        summary: of the experiment, with corrections.
        claim: name of the claim; None for any.
        about: part of the name of the comparison; None for any.

    Raises:
        NotFound: no claim or comparison of that name.
        InvalidInput: the claim is about something that people need not label.
    """
    claims = [one for one in summary.claims if claim in (None, one.name)]
    if not claims:
        known = ", ".join(one.name for one in summary.claims if countable_comparisons(one)) or "none"
        raise NotFound(f"no claim {claim!r}", remedy=f"Claims about behaviours: {known}.")
    countable = [(one, each) for one in claims for each in countable_comparisons(one)]
    if not countable:
        what = "no claim" if claim is None else f"the claim {claim} is not"
        raise InvalidInput(
            f"{what} about counts of behaviours",
            remedy="Accuracy, reward and length are computed exactly: no label makes them more certain.",
        )
    fitting = [(one, each) for one, each in countable if about is None or about in each.name]
    if not fitting:
        names = ", ".join(dict.fromkeys(each.name for _, each in countable))
        raise NotFound(f"no comparison named like {about!r}", remedy=f"There are: {names}.")

    def width(pair: tuple[Claim, ClaimComparison]) -> float:
        return float("inf") if pair[1].difference.judge_half is None else pair[1].difference.judge_half

    return max(fitting, key=width)


def countable_comparisons(claim: Claim) -> list[ClaimComparison]:
    """Return the comparisons of a claim that people's labels can correct."""
    return [one for one in claim.comparisons if one.measure in corrected_measures() and one.cells]


def build_queue(
    summary: ExperimentSummary,
    labels: Mapping[str, FinalLabel],
    chosen: tuple[Claim, ClaimComparison],
    *,
    limit: int,
) -> GoldQueue:
    """Build the queue of a comparison.

    Args:
        summary: of the experiment, with corrections.
        labels: final labels by rollout.
        chosen: the claim and its comparison.
        limit: completions to list at most.
    """
    claim, comparison = chosen
    cells = tuple(_cells(summary, labels, comparison))
    queue = GoldQueue(claim, comparison, cells, (), _seeds_half(comparison))
    wanted = [after - cell.labels for after, cell in zip(queue.allocation(limit), cells, strict=True)]
    iterators = [_order(cell, labels) for cell in cells]
    found: list[QueuedCompletion] = []
    counts = [cell.labels for cell in cells]
    for _ in range(sum(wanted)):
        place = _next_cell(cells, counts)
        if place is None:
            break
        counts[place] += 1
        found.append(next(iterators[place]))
    return GoldQueue(claim, comparison, cells, tuple(found), queue.seeds_half)


def _seeds_half(comparison: ClaimComparison) -> float | None:
    """Return half the width over seeds alone; of a corrected comparison what remains without the judge's error."""
    found = comparison.difference
    if found.half is None:
        return None
    if found.judge_half is None:
        return found.half
    return math.sqrt(max(0.0, found.half**2 - found.judge_half**2))


def _cells(
    summary: ExperimentSummary, labels: Mapping[str, FinalLabel], comparison: ClaimComparison
) -> Iterator[QueueCell]:
    groups = {group.name: group for group in summary.groups}
    corrections = [groups[cell.group].corrections.get((comparison.measure, cell.when)) for cell in comparison.cells]
    completions_of = [_completions(groups[cell.group], cell.when) for cell in comparison.cells]
    known = [
        None if found is None else _error_variance(found, sum(map(len, completions.values())))
        for found, completions in zip(corrections, completions_of, strict=True)
    ]
    estimated = [one for one in known if one is not None]
    guess = sum(estimated) / len(estimated) if estimated else ASSUMED_VARIANCE
    for cell, found, variance, completions in zip(comparison.cells, corrections, known, completions_of, strict=True):
        labelled = sum(uid in labels for ids in completions.values() for uid in ids)
        yield QueueCell(
            group=cell.group,
            when=cell.when,
            weight=cell.weight,
            labels=labelled,
            variance=guess if variance is None else variance,
            assumed=found is None,
            between=() if found is None else found.judge_error[1:],
            completions=completions,
        )


def _error_variance(found: CorrectedMean, size: int) -> float:
    """Return the variance of the judge's error in a completion, as the labels of a cell of this size show it."""
    n = found.gold
    left = 1.0 - min(1.0, n / size) ** 2
    return max(0.0, found.judge_error[0].variance / left - UNSEEN_ERROR / (n * (n + 1))) * n if left else 0.0


def _completions(group: ConditionGroup, when: Literal["start", "end"]) -> dict[int, dict[str, str]]:
    found = {}
    for seed, (run, step) in runs_at(group, when).items():
        assert run.folder is not None
        found[seed] = evaluated_ids(run.folder, run.stream, frozenset((step,)))[step]
    return found


def _order(cell: QueueCell, labels: Mapping[str, FinalLabel]) -> Iterator[QueuedCompletion]:
    """Yield the unlabelled completions of a cell: seeds in turn, new problems first, else at random."""
    by_seed = {seed: {uid for uid in ids if uid in labels} for seed, ids in cell.completions.items()}
    per_seed = Counter({seed: len(done) for seed, done in by_seed.items()})
    per_problem = Counter(cell.completions[seed][uid] for seed, done in by_seed.items() for uid in done)
    left = {
        seed: sorted((uid for uid in ids if uid not in labels), key=_random_place)
        for seed, ids in cell.completions.items()
    }
    while any(left.values()):
        seed = min((seed for seed, ids in left.items() if ids), key=lambda seed: per_seed[seed])
        problems = cell.completions[seed]
        uid = min(left[seed], key=lambda uid: per_problem[problems[uid]])
        left[seed].remove(uid)
        per_seed[seed] += 1
        per_problem[problems[uid]] += 1
        yield QueuedCompletion(uid, cell.group, cell.when, seed, problems[uid])


def _random_place(uid: str) -> str:
    return hashlib.sha256(f"gold {uid}".encode()).hexdigest()
