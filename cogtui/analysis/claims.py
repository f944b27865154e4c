"""The paper's claims tested on the runs of an experiment: a claim holds, does not hold, or is undecided.

A claim consists of comparisons of means over seeds. The 95 % interval of the difference decides a comparison: it holds
if the whole interval is on the claimed side of zero, does not hold if the whole interval is on the other side, and is
undecided otherwise, in particular with one seed. There is no correction for multiple comparisons.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from cogtui.analysis.intervals import MeanEstimate, estimate_difference, estimate_mean
from cogtui.analysis.outcomes import ConditionGroup
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.teachers.conditions import CONDITIONS

Verdict = Literal["holds", "does not hold", "undecided"]

UNPRIMED: Final = "none"
CATCH_UP_MARGIN: Final = 0.10
"""`catches up`: the final accuracy is less than this below that of the condition with right answers."""
STAY_SHARE: Final = 0.5
"""`stay`: the final mean count is more than this share of the initial one."""
ABSENT_BELOW: Final = 0.1
"""`absent`: fewer instances per completion than this."""


@dataclass(frozen=True, slots=True)
class ClaimComparison:
    """A difference that is above zero if the claim holds."""

    name: str
    """Which difference it is, for example `all_strategies - none`."""
    difference: MeanEstimate
    verdict: Verdict

    def as_data(self) -> dict[str, Any]:
        """Return plain data for `--json`."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            **self.difference.as_data(),
            "paired": self.difference.paired,
        }


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the paper with the comparisons that decide it."""

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


def decide_comparison(name: str, found: MeanEstimate) -> ClaimComparison:
    """Decide a comparison by the interval of its difference."""
    verdict: Verdict = "undecided"
    if found.low is not None and found.high is not None:
        if found.low > 0:
            verdict = "holds"
        elif found.high < 0:
            verdict = "does not hold"
    return ClaimComparison(name, found, verdict)


def decide_claims(groups: Sequence[ConditionGroup]) -> list[Claim]:
    """Decide the claims whose conditions are present.

    All claims are about training, so conditions that were only sampled are ignored.
    """
    known = {
        group.condition: group
        for group in groups
        if group.condition in CONDITIONS and any(run.trained for run in group.finished)
    }
    primed = [group for group in known.values() if primed_behaviors(group) and not _wrong(group)]
    fillers = [known[name] for name in ("empty_cot", "dots") if name in known]
    unprimed = known.get(UNPRIMED)
    against = [unprimed] if unprimed is not None else []
    bare = [group for group in known.values() if not primed_behaviors(group)]
    found = [
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
            _each_behavior(primed, lambda start, end: end - STAY_SHARE * start, need_start=True),
        ),
        Claim(
            "behaviors_absent",
            f"behaviours stay absent in runs without: below {ABSENT_BELOW:g} a completion at the end",
            _each_behavior(bare, lambda _, end: ABSENT_BELOW - end),
        ),
    ]
    return [claim for claim in found if claim.comparisons]


def primed_behaviors(group: ConditionGroup) -> list[str]:
    """Return the behaviours that a condition primes, in the project's order; none for an unknown condition."""
    condition = CONDITIONS.get(group.condition or "")
    return [] if condition is None else [name for name in FOUR_HABITS.names if name in condition.behaviors]


def _wrong(group: ConditionGroup) -> bool:
    return group.condition == "no_positive_all_strategies"


def _pairs(
    firsts: Sequence[ConditionGroup], seconds: Sequence[ConditionGroup], measure: str, when: str
) -> tuple[ClaimComparison, ...]:
    found = []
    for first in firsts:
        for second in seconds:
            between = estimate_difference(first.values(measure, when), second.values(measure, when))
            if between is not None:
                found.append(decide_comparison(f"{first.name} - {second.name}", between))
    return tuple(found)


def _catching_up(late: ConditionGroup | None, right: ConditionGroup | None) -> tuple[ClaimComparison, ...]:
    if late is None or right is None:
        return ()
    raised = {seed: value + CATCH_UP_MARGIN for seed, value in late.values("accuracy", "end").items()}
    between = estimate_difference(raised, right.values("accuracy", "end"))
    if between is None:
        return ()
    return (decide_comparison(f"{late.name} + {CATCH_UP_MARGIN:.2f} - {right.name}", between),)


def _each_behavior(
    groups: Sequence[ConditionGroup], margin: Callable[[float, float], float], *, need_start: bool = False
) -> tuple[ClaimComparison, ...]:
    """Compare each behaviour that a condition primes, or all behaviours if it primes none."""
    found = []
    for group in groups:
        for behavior in primed_behaviors(group) or FOUR_HABITS.names:
            start, end = group.values(behavior, "start"), group.values(behavior, "end")
            seeds = [seed for seed in end if seed in start or not need_start]
            between = estimate_mean([margin(start.get(seed, 0.0), end[seed]) for seed in seeds])
            if between is not None:
                found.append(decide_comparison(f"{group.name}: {behavior}", between))
    return tuple(found)
