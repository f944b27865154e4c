"""The tables of a summary as rows of text, for the terminal and for reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cogtui.analysis.experiment_summary import ExperimentSummary
from cogtui.analysis.gold_correction import PRESENCE, estimate_corrected
from cogtui.analysis.intervals import MeanEstimate
from cogtui.analysis.outcomes import ConditionGroup
from cogtui.analysis.sentences import describe_comparison, describe_missing, describe_multiplicity
from pipelines.behaviors.sets.four_habits import FOUR_HABITS

MISSING: Final = "–"
"""Shown where a value is missing; never 0."""
HOW_TO_READ: Final = (
    "mean ± half of the 95 % interval over seeds (Student's t); no interval with one seed; – where nothing was measured"
)


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with a title."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def build_tables(summary: ExperimentSummary) -> list[TextTable]:
    """Build the tables that have content: accuracy, pass@k, behaviours, search quality, claims, published figures."""
    trained = summary.trained
    moments = ("start", "end") if trained else ("end",)
    found = [
        _accuracy(summary.groups, trained=trained),
        _outcomes(summary.groups, moments),
        _measures(
            "behaviours a completion, counted by the rules judge",
            summary.groups,
            [(behavior, behavior.replace("_", " ")) for behavior in FOUR_HABITS.names],
            moments,
        ),
        _corrected(summary, moments, "behaviours a completion, corrected by people's labels", ""),
        _corrected(summary, moments, "share of completions with a behaviour, corrected by people's labels", PRESENCE),
        _measures("length and form", summary.groups, _FORM, moments),
        _measures("attempts", summary.groups, _ATTEMPTS, moments),
        build_claims_table(summary),
        _published(summary),
    ]
    return [table for table in found if table.rows]


_FORM: Final = (("length", "tokens"), ("truncation_rate", "truncated"), ("format_rate", "with an answer"))
_ATTEMPTS: Final = (
    ("attempts", "attempts"),
    ("attempt_legality", "legal"),
    ("attempt_hit_rate", "hit"),
    ("equation_accuracy", "true equations"),
    ("yes_on_hit", "says correct when correct"),
    ("yes_on_miss", "says correct when wrong"),
)


def format_estimate(found: MeanEstimate | None, digits: int = 3, *, sign: bool = False) -> str:
    """Format an estimate as `0.66 ± 0.08`, or the mean alone if there is no interval."""
    if found is None:
        return MISSING
    form = f"{'+' if sign else ''}.{digits}f"
    mean = format(found.mean, form)
    if found.half is None and found.judge_half is not None:
        return f"{mean} (judge ± {found.judge_half:.{digits}f})"
    return mean if found.half is None else f"{mean} ± {found.half:.{digits}f}"


def _accuracy(groups: Sequence[ConditionGroup], *, trained: bool) -> TextTable:
    head = ("", "seeds", "completions", *(("at step 0", "at the end", "gain") if trained else ("accuracy",)))
    rows = []
    for group in groups:
        values = [format_estimate(group.estimate("accuracy", "end"))]
        if trained:
            gain = format_estimate(group.estimate("accuracy", "gain"), sign=True)
            values = [format_estimate(group.estimate("accuracy", "start")), *values, gain]
        seeds = f"{len(group.finished)} of {len(group.runs)}"
        rows.append((group.name, seeds, f"{group.rollouts:,}" if group.rollouts else MISSING, *values))
    return TextTable("accuracy on the test problems", head, tuple(rows))


def _measures(
    title: str, groups: Sequence[ConditionGroup], measures: Sequence[tuple[str, str]], moments: Sequence[str]
) -> TextTable:
    present = [
        (measure, name)
        for measure, name in measures
        if any(group.estimate(measure, when) for group in groups for when in moments)
    ]
    if not present:
        return TextTable(title, (), ())
    rows = []
    for group in groups:
        cells = [
            " → ".join(format_estimate(group.estimate(measure, when), 2) for when in moments) for measure, _ in present
        ]
        rows.append((group.name, *cells))
    return TextTable(title, ("", *(name for _, name in present)), tuple(rows))


def _corrected(summary: ExperimentSummary, moments: Sequence[str], title: str, prefix: str) -> TextTable:
    """Build a table of corrected measures with the number of labels; without rows if nothing is corrected."""
    if summary.corrections is None or not summary.corrections.any:
        return TextTable(title, (), ())
    rows = []
    for group in summary.groups:
        found = [
            [group.corrections.get((f"{prefix}{behavior}", when)) for when in moments] for behavior in FOUR_HABITS.names
        ]
        cells = [
            " → ".join(format_estimate(None if one is None else estimate_corrected(one), 2) for one in each)
            for each in found
        ]
        labels = [[one.gold for one in column if one is not None] for column in zip(*found, strict=True)]
        gold = " → ".join(str(max(column, default=0)) for column in labels)
        rows.append((group.name, gold, *cells))
    head = ("", "labels", *(name.replace("_", " ") for name in FOUR_HABITS.names))
    return TextTable(f"{title}; ± contains seeds and judge error", head, tuple(rows))


def build_claims_table(summary: ExperimentSummary) -> TextTable:
    """Build the table of claims: each with its verdict, the comparisons that decide it in words, and their number."""
    rows: list[tuple[str, ...]] = []
    for claim in summary.claims:
        rows.append((claim.verdict, claim.text))
        rows += [("", describe_comparison(one)) for one in claim.comparisons]
    notes = (describe_missing(summary), describe_multiplicity(summary.claims))
    rows += [("", note) for note in notes if note and rows]
    return TextTable("claims", ("verdict", "claim"), tuple(rows))


def _outcomes(groups: Sequence[ConditionGroup], moments: Sequence[str]) -> TextTable:
    """Build the table of pass@k and distinct answers a problem."""
    found = [(group, {when: group.outcome_estimates(when) for when in moments}) for group in groups]
    names = list(dict.fromkeys(name for _, by_moment in found for one in by_moment.values() for name in one))
    if not names:
        return TextTable("", (), ())
    rows = [
        (group.name, *(" → ".join(format_estimate(by_moment[when].get(name), 2) for when in moments) for name in names))
        for group, by_moment in found
    ]
    head = ("", *(name.replace("_", " ") for name in names))
    return TextTable("right answers among k completions of a problem, and how many answers differ", head, tuple(rows))


def _published(summary: ExperimentSummary) -> TextTable:
    rows = [
        (
            row.condition,
            f"{row.model} 3B",
            f"{row.first.step} → {row.last.step}",
            f"{row.first.accuracy:.3f} → {row.last.accuracy:.3f}",
            *(f"{row.first.counts[name]:.2f} → {row.last.counts[name]:.2f}" for name in FOUR_HABITS.names),
        )
        for row in summary.published
    ]
    head = ("", "model", "steps", "accuracy", *(behavior.replace("_", " ") for behavior in FOUR_HABITS.names))
    return TextTable("published figures, one run each", head, tuple(rows))
