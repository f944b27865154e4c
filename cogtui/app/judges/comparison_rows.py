"""Rows and cells of a comparison of judges."""

from collections.abc import Mapping, Sequence

from cogtui.analysis.agreement.indexed import ComparisonSide, JudgeComparison
from cogtui.analysis.agreement.measures import Agreement
from cogtui.analysis.agreement.ordering import GroupOrdering
from cogtui.app.rendering.column_layout import Column
from cogtui.app.rendering.styles import SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.detail_pane import labelled_rows
from cogtui.store.query.judge_runs import JudgeRunSummary
from cogtui.store.user_data.annotations import HUMAN
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.records import Behavior
from pipelines.wording import count_of

Rows = list[list[Part]]
MISSING = "–"

RUN_COLUMNS = (
    Column("side", "", 1),
    Column("judge", "judge", 22, grows=True),
    Column("rollouts", "rollouts", 9, right=True),
    Column("whole", "all ok", 8, right=True, rank=2),
    Column("failed", "failed", 7, right=True, rank=1),
    Column("lost", "not found", 9, right=True, rank=3),
    Column("id", "run", 19, rank=4),
)
QUEUE_COLUMNS = (
    Column("trace", "trace", 16, grows=True),
    Column("a", "only A", 7, right=True),
    Column("b", "only B", 7, right=True),
    Column("both", "both", 6, right=True),
    Column("problem", "problem", 22, rank=1),
)


def run_cells(name: str, summary: JudgeRunSummary | None, side: str, total: int | None) -> Mapping[str, Part]:
    """Return the cells of a judge's row.

    Args:
        name: of the judge.
        summary: None for the live rules judge and for files.
        side: `A`, `B` or nothing.
        total: rollouts of the index.
    """
    cells: dict[str, Part] = {"side": (side, "strong"), "judge": (printable_line(name, 100), "strong" if side else "")}
    if summary is None:
        return cells
    cells["rollouts"] = (f"{summary.rollouts:,}", "" if summary.rollouts == total else "dim")
    cells["whole"] = (f"{summary.whole:,}", "")
    cells["failed"] = (f"{summary.failed:,}", "warn" if summary.failed and summary.done is None else "dim")
    if summary.done is not None:  # an annotator has no failed judgements, only unfinished ones
        cells["failed"] = (f"{summary.done:,} done", "")
    cells["lost"] = (f"{summary.unaligned:,}", "warn" if summary.unaligned else "dim")
    cells["id"] = (printable_line(summary.run.id, 40), "dim")
    return cells


def traces_in_common(found: JudgeComparison) -> int:
    """Return how many of the compared traces both sides judged."""
    return len(found.reference.traces.keys() & found.judge.traces.keys())


def no_common_rows(first: ComparisonSide, second: ComparisonSide, width: int) -> Rows:
    """Return what to do when the two sides judged no trace in common."""
    rows: Rows = [
        *labelled_rows(
            "", "A and B judged no trace in common, so there is nothing to compare.", width, "strong", indent=1
        ),
        [],
    ]
    golds = [name for name, side in (("A", first), ("B", second)) if side.kind == "gold"]
    if len(golds) == 2:
        why = "The two files share no id: gold files are compared trace by trace, by their ids."
    elif golds:
        other = second if golds == ["A"] else first
        why = f"The texts of the gold file are not in this workspace, or {other.name} has not judged them."
    else:
        why = f"{first.name} and {second.name} judged different rollouts."
    rows += labelled_rows("", why, width, indent=1)
    steps = [(" a  b", "choose another judge above; rules, live judges any trace")]
    for side in (first, second):
        if side.kind == "run" and side.name.startswith((HUMAN, "people")):
            steps.append((" 3", f"annotate more traces (a in a trace): {side.name}"))
        elif side.kind == "run":
            steps.append(
                (" run", f"cogtui judge --judge {side.name.split()[0]} judges the rollouts it has not judged yet")
            )
    if golds:
        steps.append((" o", "choose another gold file"))
    for key, text in steps:
        rows.append([])
        rows += labelled_rows(key, text, width, indent=7)
    return rows


def report_rows(found: JudgeComparison, width: int) -> Rows:
    """Return the whole report: health, spans, counts, presence, orderings."""
    agreement = found.agreement
    warnings: Rows = [[(f" ! {printable_line(warning, 300)}", "warn")] for warning in agreement.warnings]
    return [
        *_health_rows(found, width),
        [],
        *_span_rows(agreement, width),
        [],
        *_count_rows(agreement),
        [],
        *_presence_rows(agreement),
        [],
        *_order_rows("conditions", found.conditions),
        *_order_rows("checkpoints", found.checkpoints),
        *warnings,
    ]


def _heading(text: str, note: str) -> list[Part]:
    return [(f" {text}", "strong"), (f"  {note}", "dim")]


def _health_rows(found: JudgeComparison, width: int) -> Rows:
    agreement = found.agreement
    health = agreement.health
    spans = sum(health.alignments.values())
    sample = "" if agreement.traces == found.total else f", a sample of {found.total:,}"
    rows: Rows = [
        _heading(
            "Health of B first",
            f"{count_of(agreement.traces, 'trace')}{sample}, {count_of(agreement.problems, 'problem')}",
        )
    ]
    places = ", ".join(f"{count:,} {name}" for name, count in sorted(health.alignments.items(), key=lambda x: -x[1]))
    bad = health.alignments.get("unaligned", 0)
    rows.append([("  quotes    ", "dim"), (f"{count_of(spans, 'span')}: {places or 'none'}", "warn" if bad else "")])
    rows.append([("            ", ""), (f"{health.ambiguous:,} ambiguous", "warn" if health.ambiguous else "dim")])
    total = sum(health.statuses.values())
    ok = health.statuses.get("ok", 0)
    others = ", ".join(f"{count:,} {name}" for name, count in sorted(health.statuses.items()) if name != "ok")
    rows.append(
        [
            ("  judged    ", "dim"),
            (f"{ok:,} of {total:,} judgements", ""),
            (f"; missing: {others}" if others else "", "warn"),
        ]
    )
    if health.count_differs:
        rows.append([("            ", ""), (_differing(health.count_differs), "warn")])
    return rows


def _differing(number: int) -> str:
    return "1 count differs from its spans" if number == 1 else f"{number:,} counts differ from their spans"


def behavior_label(behavior: Behavior) -> list[Part]:
    """Return the letter and the name of a behaviour as the start of a row."""
    return [
        ("  ", ""),
        (f" {BEHAVIOR_LETTERS[behavior]} ", (SPAN_STYLES[behavior], "strong")),
        (f" {fit(behavior.replace('_', ' '), 17)}", ""),
    ]


def _span_rows(agreement: Agreement, width: int) -> Rows:
    any_overlap, strict = agreement.scores["any_overlap"], agreement.scores["iou50"]
    wide = width >= 96
    titles = f"{fit('', 23)}{'F1':>6} {'95 %':>11} {'at IoU ≥ 0.5':>18}"
    titles += f" {'P':>6} {'R':>6} {'hits':>6} {'extra':>6} {'missed':>6}" if wide else ""
    rows: Rows = [_heading("Spans of B against A", "F1 at any overlap"), [(titles + f" {'n':>10}", "dim")]]
    for behavior in agreement.compared:
        tally, exact = any_overlap.tallies[behavior], strict.tallies[behavior]
        cells = f"{format_figure(tally.f1):>6} {format_interval(any_overlap.intervals[behavior]):>11}"
        cells += f" {format_figure(exact.f1):>6} {format_interval(strict.intervals[behavior]):>11}"
        if wide:
            cells += f" {format_figure(tally.precision):>6} {format_figure(tally.recall):>6}"
            cells += f" {tally.hits:>6,} {tally.extra:>6,} {tally.missed:>6,}"
        rows.append([*behavior_label(behavior), (cells, ""), *_compared_part(agreement, behavior)])
    whole = f"{format_figure(any_overlap.macro):>6} {format_interval(any_overlap.macro_interval):>11}"
    whole += f" {format_figure(strict.macro):>6} {format_interval(strict.macro_interval):>11}"
    rows.append([(f"  {fit('macro', 21)}", "strong"), (whole, "strong")])
    return rows


def _compared_part(agreement: Agreement, behavior: Behavior) -> list[Part]:
    """Return how many of the reference's traces both judged."""
    n, total = agreement.compared[behavior], agreement.traces
    style: StyleName = "dim" if n == total else "warn"
    return [(f" {f'{n:,}/{total:,}':>10}", style)]


def _count_rows(agreement: Agreement) -> Rows:
    titles = f"{fit('', 23)}{'A':>7} {'B':>7} {'bias':>7} {'equal':>6} {'MAE':>6} {'alpha':>6}"
    rows: Rows = [_heading("Mean counts", "over the traces both judged"), [(titles + f" {'n':>10}", "dim")]]
    for behavior in agreement.compared:
        one = agreement.counts[behavior]
        bias = MISSING if one.bias is None else f"{one.bias:+.2f}"
        cells = f"{format_figure(one.mean_first):>7} {format_figure(one.mean_second):>7} {bias:>7}"
        cells += f" {format_figure(one.exact):>6} {format_figure(one.mae):>6} {format_figure(one.alpha):>6}"
        rows.append([*behavior_label(behavior), (cells, ""), *_compared_part(agreement, behavior)])
    return rows


def _presence_rows(agreement: Agreement) -> Rows:
    titles = f"{fit('', 23)}{'kappa':>7} {'alpha':>7} {'both':>6} {'only A':>7} {'only B':>7} {'none':>6}"
    rows: Rows = [_heading("Whether it shows at all", "per trace"), [(titles, "dim")]]
    for behavior in agreement.compared:
        one = agreement.presence[behavior]
        cells = f"{format_figure(one.kappa):>7} {format_figure(one.alpha):>7} {one.both:>6,} {one.only_first:>7,}"
        rows.append([*behavior_label(behavior), (f"{cells} {one.only_second:>7,} {one.neither:>6,}", "")])
    return rows


def _order_rows(what: str, ordered: Mapping[Behavior, GroupOrdering]) -> Rows:
    groups = max((len(one.groups) for one in ordered.values()), default=0)
    note = f"Kendall's tau over {groups} {what}" if groups > 1 else f"fewer than two {what}: nothing to order"
    rows: Rows = [_heading(f"Does the order of {what} survive?", note)]
    if groups > 1:
        for behavior in ordered:
            one = ordered[behavior]
            first = sorted(one.groups, key=lambda group: -group.reference)[:3]
            shown = ", ".join(
                f"{printable_line(group.group, 40)} {group.reference:.2f}/{group.judge:.2f} (n {group.n:,})"
                for group in first
            )
            rows.append(
                [*behavior_label(behavior), (f"{format_figure(one.tau):>6}  ", "strong"), (f"A/B: {shown}", "dim")]
            )
    return rows


def queue_cells(found: JudgeComparison) -> Sequence[tuple[str, Mapping[str, Part]]]:
    """Return the traces with disagreements, the largest first."""
    rows: list[tuple[str, Mapping[str, Part]]] = []
    for item in found.agreement.queue:
        text = found.texts[item.id]
        rows.append(
            (
                item.id,
                {
                    "trace": (printable_line(item.id, 60), ""),
                    "a": (f"{item.only_reference:,}", "" if item.only_reference else "dim"),
                    "b": (f"{item.only_judge:,}", "" if item.only_judge else "dim"),
                    "both": (f"{item.both:,}", "dim"),
                    "problem": (text.described(), "dim"),
                },
            )
        )
    return rows


def format_figure(value: float | None) -> str:
    """Format a number with two digits; a dash if it is undefined."""
    return MISSING if value is None else f"{value:.2f}"


def format_interval(values: tuple[float, float] | None) -> str:
    """Format an interval; a dash if it is undefined."""
    return MISSING if values is None else f"{values[0]:.2f}–{values[1]:.2f}"
