"""Results in words: a sentence for each comparison of a claim, and four sentences on what an experiment shows."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cogtui.analysis.claims import CONDITION, UNPRIMED, Claim, primed_behaviors
from cogtui.analysis.comparisons import ClaimComparison, compare_groups
from cogtui.analysis.experiment_summary import ExperimentSummary
from cogtui.analysis.outcomes import ConditionGroup
from jobs.recipe.claims import Moment
from jobs.recipe.labels import label_text
from pipelines.wording import count_of

_LEVEL: Final = 0.05
_MOMENTS: Final = {"start": "at step 0", "end": "at the end", "gain": "gain"}
_DOINGS: Final = {
    "verification": "checks a result",
    "backtracking": "abandons an attempt",
    "subgoal": "sets a subgoal",
    "backward_chaining": "works back from the goal",
}


def describe_comparison(one: ClaimComparison) -> str:
    """Describe a comparison: the difference, how sure it is, over what, and what would decide it."""
    found, problems = one.difference, one.over_problems
    quantity = one.quantity or f"{one.measure.replace('_', ' ')} {_MOMENTS[one.when]}"
    what = f"{one.name.replace(' - ', ' − ')}, {quantity}"
    seeds = f"{found.n}{f' of {one.planned}' if found.n < one.planned else ''} {'seed' if found.n == 1 else 'seeds'}"
    if found.half is None:
        if problems is None and found.judge_half is not None:
            return (
                f"{what}: {_signed(found.mean)}, {seeds} (judge error ± {found.judge_half:.3f}): undecided; no "
                "interval over seeds with one seed, or with labels of one seed alone"
            )
        if problems is None:
            return f"{what}: {_signed(found.mean)}, {seeds}: undecided; one seed has no interval"
        verdict = one.verdict_over_problems
        said = verdict if verdict == "undecided" else f"{verdict} for these problems"
        return (
            f"{what}: {_signed(found.mean)} ± {problems.half:.3f} over {problems.problems} problems, {seeds}: {said}; "
            "one seed says nothing about other seeds"
        )
    beside = "" if problems is None else f" (± {problems.half:.3f} over {problems.problems} problems)"
    error = f" (judge error ± {found.judge_half:.3f})" if found.judge_half is not None else ""
    start = f"{what}: {_signed(found.mean)} ± {found.half:.3f} over {seeds}{beside}{error}: {one.verdict}"
    if one.verdict == "undecided":
        return f"{start}; {_seeds_to_decide(one)}"
    return f"{start}; not after Holm's correction" if one.p_holm is not None and one.p_holm > _LEVEL else start


def _seeds_to_decide(one: ClaimComparison) -> str:
    if one.is_corrected:
        return "more seeds or labels would narrow it (cogtui gold next)"
    needed = one.seeds_needed
    if needed is None:
        return "100 seeds like these would not decide it"
    more = max(1, needed - one.difference.n)
    return f"{more} more {'seed' if more == 1 else 'seeds'} like these would decide it with probability .8"


def describe_missing(summary: ExperimentSummary) -> str:
    """Name the cells that no claim is about, because none of their runs has finished; empty if there are none."""
    names = [group.name for group in summary.groups if not group.finished]
    return f"Not compared, since no run has finished: {', '.join(names)}." if names else ""


def describe_multiplicity(claims: Sequence[Claim]) -> str:
    """State how many comparisons were tested, and how many stay decided after Holm's correction; empty for none."""
    compared = [one for claim in claims for one in claim.comparisons]
    tested = [one for one in compared if one.p_holm is not None]
    if not compared:
        return ""
    if not tested:
        return (
            f"{count_of(len(compared), 'comparison')} in {count_of(len(claims), 'claim')}, none tested over seeds, "
            "since there is one; intervals over problems are not corrected for their number."
        )
    decided = [one for one in tested if one.verdict != "undecided"]
    stay = sum(one.p_holm <= _LEVEL for one in decided if one.p_holm is not None)
    return (
        f"{count_of(len(tested), 'comparison')} in {count_of(len(claims), 'claim')}, tested over seeds at 95 % each: "
        f"were all differences zero, chance would decide about {_LEVEL * len(tested):.1f} of them. "
        f"{len(decided)} are decided, {stay} after Holm's correction for their number too."
    )


@dataclass(frozen=True, slots=True)
class PrimedContrast:
    """The primed cells of an experiment beside the unprimed one, all other matrix values being equal."""

    primed: tuple[ConditionGroup, ...]
    unprimed: ConditionGroup
    where: str
    """The values of the other dimensions; empty if there are none."""


def primed_contrasts(groups: Sequence[ConditionGroup]) -> list[PrimedContrast]:
    """Return a contrast for each combination of the other dimensions that has finished primed and unprimed runs."""
    slices: dict[str, list[ConditionGroup]] = {}
    for group in groups:
        if any(run.trained for run in group.finished):
            others = {name: value for name, value in group.labels.items() if name != CONDITION}
            slices.setdefault(label_text(others), []).append(group)
    found = []
    for where, members in slices.items():
        unprimed = [group for group in members if group.condition == UNPRIMED]
        primed = tuple(
            group for group in members if primed_behaviors(group) and group.condition != "no_positive_all_strategies"
        )
        if unprimed and primed:
            found.append(PrimedContrast(primed, unprimed[0], where))
    return found


def describe_experiment(summary: ExperimentSummary) -> list[str]:
    """Describe what an experiment shows in four sentences a contrast; none without primed and unprimed runs."""
    sentences = []
    for contrast in primed_contrasts(summary.groups):
        sentences += [f"With {contrast.where}:"] if contrast.where else []
        sentences += _four_sentences(contrast)
    return sentences


def _four_sentences(contrast: PrimedContrast) -> Iterator[str]:
    primed, unprimed = contrast.primed, contrast.unprimed
    several = len(primed) > 1
    name = f"{len(primed)} primed models, on average" if several else f"primed with {_and(_habits(primed[0]))}"
    problems = _problems(unprimed)
    steps = max(run.last or 0 for run in unprimed.finished)
    yield (
        f"Right answers on {f'{problems} ' if problems else ''}test problems that no model was trained on: {name}, "
        f"{_percent(primed, 'start')} before and {_percent(primed, 'end')} after {steps} steps of reinforcement "
        f"learning (PPO); without priming, {_percent([unprimed], 'start')} before and {_percent([unprimed], 'end')} "
        "after."
    )
    gaps = _comparisons(contrast, "end")
    yield _gap_sentence(gaps, several)
    yield _habit_sentence(contrast)
    yield _meaning_sentence(contrast, gaps)


def _comparisons(contrast: PrimedContrast, when: Moment) -> list[ClaimComparison]:
    found = (compare_groups(group, contrast.unprimed, "accuracy", when) for group in contrast.primed)
    return [one for one in found if one is not None]


def _gap_sentence(gaps: Sequence[ClaimComparison], several: bool) -> str:
    if not gaps:
        return "The gap between them was not measured."
    if several:
        ahead = sum(_side(one) > 0 for one in gaps)
        lowest, highest = (edge(one.difference.mean for one in gaps) for edge in (min, max))
        return (
            f"At the end the primed models are {_points(lowest)} to {_points(highest)} percentage points ahead of the "
            f"unprimed one; for {ahead} of {len(gaps)} the 95 % interval lies above zero."
        )
    (gap,) = gaps
    chance = "the choice of test problems explains" if gap.difference.half is None else "chance between seeds explains"
    reading = {
        1: f"more than {chance}",
        0: "the interval includes zero, so chance may explain the gap",
        -1: f"more than {chance}",
    }[_side(gap)]
    points = f"{abs(100 * gap.difference.mean):.1f} percentage points"
    where = "ahead of" if gap.difference.mean >= 0 else "behind"
    return f"At the end the primed model is {points} {where} the unprimed one{_interval_text(gap)}: {reading}."


def _habit_sentence(contrast: PrimedContrast) -> str:
    habits = [name for name in _DOINGS if any(name in primed_behaviors(group) for group in contrast.primed)]
    everyone = [*contrast.primed, contrast.unprimed]
    # A corrected count beside one as judged would show the judge's error as a change, so all are or none is.
    corrected = all((habit, when) in group.corrections for group in everyone for habit in habits for when in _ENDS)
    any_labels = any(group.corrections for group in everyone)

    def counts(groups: Sequence[ConditionGroup], text: Callable[[str, str, str], str]) -> str:
        parts = []
        for habit in habits:
            owners = [group for group in groups if habit in primed_behaviors(group)] or groups
            start, end = (_mean_count(owners, habit, when, corrected=corrected) for when in _ENDS)
            parts.append(text(_DOINGS[habit], start, end))
        return _and(parts)

    who = "a primed model on average" if len(contrast.primed) > 1 else "the primed model"
    how = " (corrected by people's labels)" if corrected else " (as the rules judge counts)" if any_labels else ""
    return (
        f"In one completion{how} {who} "
        f"{counts(contrast.primed, lambda doing, start, end: f'{doing} {end} times (before PPO {start})')}; the "
        f"unprimed model {counts([contrast.unprimed], lambda doing, start, end: f'{doing} {end} times ({start})')}."
    )


_ENDS: Final = ("start", "end")


def _mean_count(groups: Sequence[ConditionGroup], habit: str, when: str, *, corrected: bool) -> str:
    if not corrected:
        return _mean(groups, habit, when)
    return f"{math.fsum(group.corrections[habit, when].mean for group in groups) / len(groups):.1f}"


def _meaning_sentence(contrast: PrimedContrast, gaps: Sequence[ClaimComparison]) -> str:
    gains = _comparisons(contrast, "gain")
    seeds = min((one.difference.n for one in gaps), default=0)
    limit = (
        "One seed cannot show whether priming and training again would give the same; add --set seeds=[1,2,3] to the "
        "command for more."
        if seeds <= 1
        else f"The intervals are over {seeds} seeds of priming and training, with the same base model and problems."
    )
    primed, unprimed = _mean_gain(contrast.primed), _mean_gain([contrast.unprimed])
    if primed is None or unprimed is None or not gains:
        return limit
    who = "a primed model on average" if len(gains) > 1 else "the primed model"
    started = f"So PPO added {_points(primed)} points to {who} and {_points(unprimed)} to the unprimed one"
    more = sum(_side(one) > 0 for one in gains)
    if len(gains) > 1:
        return f"{started} (more for {more} of {len(gains)} by their 95 % intervals). {limit}"
    learnt = (
        "the habits helped it to learn, as the paper found" if primed > 0 else "yet the primed model did not improve"
    )
    reading = {
        1: learnt,
        0: "too close to say which learnt more",
        -1: "the unprimed model learnt more, unlike in the paper",
    }[_side(gains[0])]
    return (
        f"{started}, a difference of {_points(gains[0].difference.mean)}{_interval_text(gains[0])}: {reading}. {limit}"
    )


def _interval(one: ClaimComparison) -> tuple[float, float] | None:
    found = one.difference
    if found.low is not None and found.high is not None:
        return found.low, found.high
    return None if one.over_problems is None else (one.over_problems.low, one.over_problems.high)


def _interval_text(one: ClaimComparison) -> str:
    interval = _interval(one)
    if interval is None:
        return " (one seed, no interval)"
    over = f"{one.difference.n} seeds" if one.difference.half is not None else "the problems"
    return f" (95 % interval over {over}: {_points(interval[0])} to {_points(interval[1])})"


def _side(one: ClaimComparison) -> int:
    """Return 1 or -1 for an interval above or below zero, 0 for one that includes zero or is not known."""
    interval = _interval(one)
    if interval is None:
        return 0
    return 1 if interval[0] > 0 else -1 if interval[1] < 0 else 0


def _problems(group: ConditionGroup) -> int:
    return max((len(found) for found in group.outcomes("end").values()), default=0)


def _habits(group: ConditionGroup) -> list[str]:
    return [name.replace("_", " ") for name in primed_behaviors(group)]


def _mean_of(groups: Sequence[ConditionGroup], measure: str, when: str) -> float | None:
    found = [one.mean for group in groups if (one := group.estimate(measure, when)) is not None]
    return math.fsum(found) / len(found) if found else None


def _mean_gain(groups: Sequence[ConditionGroup]) -> float | None:
    return _mean_of(groups, "accuracy", "gain")


def _mean(groups: Sequence[ConditionGroup], measure: str, when: str) -> str:
    found = _mean_of(groups, measure, when)
    return "–" if found is None else f"{found:.1f}"


def _percent(groups: Sequence[ConditionGroup], when: str) -> str:
    found = _mean_of(groups, "accuracy", when)
    return "–" if found is None else f"{100 * found:.1f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
