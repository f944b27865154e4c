"""Claims tested on the runs of an experiment: a claim holds, does not hold, or is undecided.

A claim consists of comparisons of means over seeds. The 95 % interval of the difference decides a comparison: it holds
if the whole interval is on the claimed side of zero, does not hold if the whole interval is on the other side, and is
undecided otherwise, in particular with one seed. Beside that stand the interval over problems (`significance`), which
one seed has too, the p-value corrected by Holm for the number of comparisons, and the number of seeds that would decide
an undecided comparison.

The claims are the paper's, those of every other dimension of the matrix against its reference value, and those that
the recipe wrote down in its `[compare]` table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from cogtui.analysis.comparisons import (
    ClaimComparison,
    ComparedCell,
    Verdict,
    compare_groups,
    compare_pairs,
    decide_comparison,
    matching_pairs,
    weighted_values,
)
from cogtui.analysis.gold_correction import widen_estimate
from cogtui.analysis.intervals import MeanEstimate, estimate_mean
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.analysis.significance import adjust_holm
from jobs.recipe.claims import CompareTable, Moment
from jobs.recipe.labels import Label
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.teachers.conditions import CONDITIONS

UNPRIMED: Final = "none"
CONDITION: Final = "condition"
CATCH_UP_MARGIN: Final = 0.10
"""`catches up`: the final accuracy is less than this below that of the condition with right answers."""
STAY_SHARE: Final = 0.5
"""`stay`: the final mean count is more than this share of the initial one."""
ABSENT_BELOW: Final = 0.1
"""`absent`: fewer instances per completion than this."""
_STAYS: Final = f"count at the end − {STAY_SHARE:.0%} of the start"
_ABSENT: Final = f"{ABSENT_BELOW:g} − count at the end"


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim with the comparisons that decide it."""

    name: str
    """Short and stable, for use in programs."""
    text: str
    comparisons: tuple[ClaimComparison, ...]

    @property
    def verdict(self) -> Verdict:
        """`holds` if every comparison holds, `does not hold` if one does not, else `undecided`."""
        verdicts = {comparison.verdict for comparison in self.comparisons}
        if verdicts == {"holds"}:
            return "holds"
        return "does not hold" if "does not hold" in verdicts else "undecided"

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "name": self.name,
            "text": self.text,
            "verdict": self.verdict,
            "comparisons": [comparison.as_data() for comparison in self.comparisons],
        }


def decide_claims(groups: Sequence[ConditionGroup], table: CompareTable | None = None) -> list[Claim]:
    """Decide the claims whose conditions are present.

    The paper's claims and those of other dimensions are about training, so conditions that were only sampled are
    ignored there.

    Args:
        groups: the cells of an experiment without their seeds.
        table: the `[compare]` table of its recipe.
    """
    table = table or CompareTable()
    trained = [group for group in groups if any(run.trained for run in group.finished)]
    stated = _recipe_claims(groups, table)
    claims = [*_paper_claims(trained, table), *_without_stated(_dimension_claims(trained, table), stated), *stated]
    found = [claim for claim in claims if claim.comparisons]
    return _with_holm(found)


def _without_stated(claims: Sequence[Claim], stated: Sequence[Claim]) -> list[Claim]:
    """Leave out the comparisons that a claim of the recipe makes too: each counts once in Holm's correction."""
    made = {(one.name, one.measure, one.when) for claim in stated for one in claim.comparisons}
    return [
        replace(
            claim,
            comparisons=tuple(one for one in claim.comparisons if (one.name, one.measure, one.when) not in made),
        )
        for claim in claims
    ]


def _with_holm(claims: Sequence[Claim]) -> list[Claim]:
    p_values = [one.p for claim in claims for one in claim.comparisons]
    adjusted = iter(adjust_holm([p for p in p_values if p is not None]))
    return [
        replace(
            claim,
            comparisons=tuple(
                one if one.p is None else replace(one, p_holm=next(adjusted)) for one in claim.comparisons
            ),
        )
        for claim in claims
    ]


def _paper_claims(groups: Sequence[ConditionGroup], table: CompareTable) -> list[Claim]:
    """Return the paper's claims, compared within each combination of the other dimensions."""
    slices: dict[tuple[tuple[str, Label], ...], dict[str, ConditionGroup]] = {}
    for group in groups:
        if group.condition in CONDITIONS:
            others = tuple((name, value) for name, value in group.labels.items() if name != CONDITION)
            slices.setdefault(others, {})[group.condition] = group
    claims: dict[str, Claim] = {}
    for known in slices.values():
        for claim in _claims_of_slice(known, str(table.reference.get(CONDITION, UNPRIMED))):
            before = claims.get(claim.name)
            so_far = () if before is None else before.comparisons
            claims[claim.name] = replace(claim, comparisons=(*so_far, *claim.comparisons))
    return list(claims.values())


def _claims_of_slice(known: Mapping[str, ConditionGroup], reference: str) -> list[Claim]:
    primed = [group for group in known.values() if primed_behaviors(group) and not _wrong(group)]
    fillers = [known[name] for name in ("empty_cot", "dots") if name in known]
    unprimed = known.get(reference)
    against = [unprimed] if unprimed is not None else []
    bare = [group for group in known.values() if not primed_behaviors(group)]
    return [
        Claim("primed_above_unprimed", "primed ends above unprimed", _pairs(primed, against, "accuracy", "end")),
        Claim(
            "primed_above_fillers",
            "primed ends above empty_cot and dots",
            _pairs(primed, fillers, "accuracy", "end"),
        ),
        Claim(
            "primed_gains_as_much",
            "primed gains at least as much under RL as unprimed",
            _pairs(primed, against, "accuracy", "gain"),
        ),
        Claim(
            "wrong_answers_catch_up",
            f"no_positive_all_strategies ends less than {CATCH_UP_MARGIN:.2f} below all_strategies",
            _catching_up(known.get("no_positive_all_strategies"), known.get("all_strategies")),
        ),
        Claim(
            "behaviors_stay",
            f"behaviours stay in primed runs: at the end above {STAY_SHARE:.0%} of their count at the start",
            _each_behavior(primed, _WeightedSum(start=-STAY_SHARE, end=1.0), _STAYS),
        ),
        Claim(
            "behaviors_absent",
            f"behaviours stay absent in runs without: below {ABSENT_BELOW:g} a completion at the end",
            _each_behavior(bare, _WeightedSum(end=-1.0, constant=ABSENT_BELOW), _ABSENT),
        ),
    ]


def primed_behaviors(group: ConditionGroup) -> list[str]:
    """Return the behaviours that a condition primes, in the project's order; none for an unknown condition."""
    condition = CONDITIONS.get(group.condition or "")
    return [] if condition is None else [name for name in FOUR_HABITS.names if name in condition.behaviors]


def _wrong(group: ConditionGroup) -> bool:
    return group.condition == "no_positive_all_strategies"


def _pairs(
    firsts: Sequence[ConditionGroup], seconds: Sequence[ConditionGroup], measure: str, when: Moment
) -> tuple[ClaimComparison, ...]:
    pairs = ((first, second) for first in firsts for second in seconds if first is not second)
    return compare_pairs(pairs, measure, when)


def _catching_up(late: ConditionGroup | None, right: ConditionGroup | None) -> tuple[ClaimComparison, ...]:
    if late is None or right is None:
        return ()
    found = compare_groups(late, right, "accuracy", "end", CATCH_UP_MARGIN)
    return () if found is None else (found,)


def _dimension_claims(groups: Sequence[ConditionGroup], table: CompareTable) -> list[Claim]:
    """Compare each value of every dimension but the condition with the reference, all other values being equal."""
    values: dict[str, dict[Label, None]] = {}
    for group in groups:
        for name, value in group.labels.items():
            if name != CONDITION:
                values.setdefault(name, {})[value] = None
    claims = []
    for name, found in values.items():
        reference = table.reference.get(name, next(iter(found)))
        for value in found:
            if value != reference:
                for text, word, when in _DIMENSION_CLAIMS:
                    pairs = matching_pairs(groups, {name: value}, {name: reference})
                    claims.append(
                        Claim(
                            f"{name}_{value}_{word}_{reference}",
                            f"{name} {value} {text} {reference}",
                            compare_pairs(pairs, "accuracy", when),
                        )
                    )
    return claims


_DIMENSION_CLAIMS: Final[tuple[tuple[str, str, Moment], ...]] = (
    ("ends above", "above", "end"),
    ("gains more under RL than", "gains_more_than", "gain"),
)


def _recipe_claims(groups: Sequence[ConditionGroup], table: CompareTable) -> list[Claim]:
    return [
        Claim(
            f"recipe_{number}",
            claim.text,
            compare_pairs(matching_pairs(groups, claim.above, claim.below), claim.measure, claim.when, claim.margin),
        )
        for number, claim in enumerate(table.claims, start=1)
    ]


class _WeightedSum(NamedTuple):
    """A sum of a count at the start, the same at the end, and a constant."""

    start: float = 0.0
    end: float = 0.0
    constant: float = 0.0

    def cells(self, group: str) -> tuple[ComparedCell, ...]:
        """Return the cells of a condition that have a weight."""
        found = (ComparedCell(group, "start", self.start), ComparedCell(group, "end", self.end))
        return tuple(cell for cell in found if cell.weight)


def _each_behavior(
    groups: Sequence[ConditionGroup], margin: _WeightedSum, quantity: str
) -> tuple[ClaimComparison, ...]:
    """Compare each behaviour that a condition primes, or all behaviours if it primes none."""
    found = []
    for group in groups:
        for behavior in primed_behaviors(group) or FOUR_HABITS.names:
            between = _margin(group, behavior, margin)
            if between is not None:
                found.append(
                    decide_comparison(
                        f"{group.name}: {behavior}",
                        between,
                        measure=behavior,
                        planned=len(group.runs),
                        quantity=quantity,
                        cells=margin.cells(group.name),
                    )
                )
    return tuple(found)


def _margin(group: ConditionGroup, behavior: str, margin: _WeightedSum) -> MeanEstimate | None:
    corrected = weighted_values(group, behavior, margin.start, margin.end)
    if corrected is not None:
        values, errors = corrected
        between = estimate_mean([value + margin.constant for value in values.values()])
        return None if between is None else widen_estimate(between, errors)
    start, end = group.values(behavior, "start"), group.values(behavior, "end")
    seeds = [seed for seed in end if seed in start or not margin.start]
    return estimate_mean(
        [margin.start * start.get(seed, 0.0) + margin.end * end[seed] + margin.constant for seed in seeds]
    )
