"""Which judges counted in a workspace, and how well they agree, for a report."""

from __future__ import annotations

from cogtui.analysis.agreement.indexed import DEFAULT_SAMPLE_SIZE, compare_all
from cogtui.analysis.agreement.panel import AlphaEstimate, PanelAgreement
from cogtui.analysis.agreement.sources import judge_label
from cogtui.analysis.tables import MISSING, TextTable
from cogtui.store import Store
from pipelines.errors import CogtuiError

_NOT_MEASURED = (
    "Agreement was not measured: {why}. To measure it, annotate completions in the app (a in a trace, D when done), or "
    "judge them by another judge (cogtui judge), and write this report again."
)


def describe_agreement(store: Store) -> tuple[tuple[str, ...], tuple[TextTable, ...]]:
    """Return sentences and tables on the judges of an index and their agreement.

    Args:
        store: the index; its judges are of the whole workspace, other experiments included.
    """
    notes = ["Behaviours in the tables above are counted by the rules judge, in the stages that evaluate."]
    summaries = store.judge_summaries()
    if not summaries:
        return (*notes, _NOT_MEASURED.format(why="no judge run and no person has judged here")), ()
    judges = TextTable(
        "judges of this workspace",
        ("judge", "completions", "judged completely", "failed", "quotes not found"),
        tuple(
            (judge_label(one.run), f"{one.rollouts:,}", f"{one.whole:,}", f"{one.failed:,}", f"{one.unaligned:,}")
            for one in summaries
        ),
    )
    try:
        panel = compare_all(store, limit=DEFAULT_SAMPLE_SIZE, name_of=judge_label)
    except CogtuiError as error:
        return (*notes, _NOT_MEASURED.format(why=error.summary)), (judges,)
    if panel is None:
        why = "only one judge has judged" if len(summaries) == 1 else "no completion was judged by two of them"
        return (*notes, _NOT_MEASURED.format(why=why)), (judges,)
    notes.append(
        "Krippendorff's alpha is 1 for full agreement and 0 for that of chance; intervals are 95 % over problems. "
        "Compared are completions that people labelled, or a sample where nobody did, in the whole workspace."
    )
    return tuple(notes), (judges, _alpha_table(panel), _pair_table(panel))


def _alpha_table(panel: PanelAgreement) -> TextTable:
    rows = tuple(
        (name.replace("_", " "), _alpha(one), _alpha(panel.presence[name]), f"{one.traces:,}")
        for name, one in panel.counts.items()
    )
    return TextTable(
        f"agreement of {len(panel.judges)} judges and people (Krippendorff's alpha)",
        ("", "counts", "presence", "completions"),
        rows,
    )


def _alpha(one: AlphaEstimate) -> str:
    if one.alpha is None:
        return MISSING
    return (
        f"{one.alpha:.2f}"
        if one.interval is None
        else f"{one.alpha:.2f} ({one.interval[0]:.2f} to {one.interval[1]:.2f})"
    )


def _pair_table(panel: PanelAgreement) -> TextTable:
    rows = tuple(
        (
            f"{one.first} and {one.second}",
            one.behavior.replace("_", " "),
            f"{one.traces:,}",
            *(MISSING if value is None else f"{value:.2f}" for value in (one.kappa, one.alpha, one.f1)),
        )
        for one in panel.pairs
        if one.traces
    )
    return TextTable(
        "pairs", ("", "behaviour", "completions", "kappa of presence", "alpha of counts", "F1 of spans"), rows
    )
