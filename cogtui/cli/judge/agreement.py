"""Prints the agreement of two sources of judgements."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from cogtui.analysis.agreement.judge_history import judge_versions, repetitions
from cogtui.analysis.agreement.measures import Agreement, JudgementSource, as_data, measure_agreement
from cogtui.analysis.agreement.ordering import GroupOrdering, compare_orderings
from cogtui.analysis.agreement.panel import measure_panel
from cogtui.analysis.agreement.sources import (
    LABELS_NAME,
    RULES_NAME,
    TextToJudge,
    final_label_source,
    find_run,
    human_runs,
    is_independent,
    judge_label,
    judge_stages,
    read_gold_source,
    read_judge_run,
    registered_source,
    run_source,
    texts_of,
)
from cogtui.cli.console.layout import format_table, output_width
from cogtui.cli.console.output import emit_json, emit_wrapped, narrate
from cogtui.cli.judge.agreement_tables import calibration_lines, format_number, format_range, show_panel, show_versions
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import JUDGES, make_judge
from pipelines.errors import InvalidInput, NotFound
from pipelines.records import Behavior

_USAGE = "Give --gold FILE --judge NAME, or --judge A --judge B; more judges are compared together."


@dataclass(frozen=True, slots=True)
class AgreementRequest:
    """The arguments of `cogtui agreement`."""

    gold: Path | None = None
    judges: tuple[str, ...] = ()
    itself: str | None = None
    """Judge whose repetitions are compared."""
    versions: str | None = None
    """Judge whose versions are compared."""
    seed: int = 0
    limit: int = 10


def show_agreement(workspace: Workspace, request: AgreementRequest, *, as_json: bool) -> None:
    """Compare sources of judgements and print the comparison.

    Raises:
        InvalidInput: too few judges; a gold file with a wrong row.
        NotFound: no such file or judge run.
    """
    judges = _expand(workspace, request.judges)
    if request.itself is not None:
        show_panel(measure_panel(repetitions(workspace, request.itself), seed=request.seed), as_json=as_json)
        return
    if request.versions is not None:
        reference, texts = _reference(workspace, request.gold, judges)
        show_versions(judge_versions(workspace, request.versions, reference, texts, seed=request.seed), as_json=as_json)
        return
    if len(judges) + (request.gold is not None) > _PAIR:
        show_panel(measure_panel(_panel_sources(workspace, request.gold, judges), seed=request.seed), as_json=as_json)
        return
    limit = request.limit
    reference, judge = _sources(workspace, request.gold, judges)
    agreement = measure_agreement(reference, judge, seed=request.seed)
    ordered = compare_orderings(reference, judge)
    if as_json:
        emit_json(as_data(agreement) | {"orderings": _orderings_data(ordered)}, agreement.warnings)
        return
    for line in [*_report(agreement, limit), *_order_lines(ordered)]:
        emit_wrapped(line, "  ")
    for warning in agreement.warnings:
        narrate(f"warning: {warning}")


def _expand(workspace: Workspace, judges: Sequence[str]) -> list[str]:
    """Replace `all` by every independent judge run and person of the workspace."""
    if ALL not in judges:
        return list(judges)
    people = [judge_label(found.run) for found in human_runs(workspace) if is_independent(found.run)]
    runs = [run.id for _, run in judge_stages(workspace) if is_independent(run)]
    return list(dict.fromkeys([*(name for name in judges if name != ALL), *people, *runs]))


def _reference(
    workspace: Workspace, gold: Path | None, judges: Sequence[str]
) -> tuple[JudgementSource, Sequence[TextToJudge]]:
    if gold is not None and not judges:
        traces = read_gold_source(gold)
        return traces.source(), traces.texts
    if gold is not None or len(judges) != 1:
        raise InvalidInput(
            "--versions is compared with one reference", remedy="Give --gold FILE, or --judge human once."
        )
    texts = _common_texts(workspace, judges)
    return _judge(workspace, judges[0], texts), texts


def _panel_sources(workspace: Workspace, gold: Path | None, judges: Sequence[str]) -> list[JudgementSource]:
    """Read all judges over all texts that any of them judged, and name each as it was asked for if names collide."""
    files = [gold] if gold is not None else []
    texts: dict[str, TextToJudge] = {}
    for name in [*map(str, files), *judges]:
        with suppress(InvalidInput):  # a judge that runs live has no texts of its own
            texts |= {text.id: text for text in _common_texts(workspace, [name])}
    if not texts:
        raise InvalidInput("none of these judges has judged texts in this workspace", remedy=_USAGE)
    sources = [_judge(workspace, name, list(texts.values())) for name in [*map(str, files), *judges]]
    names = [source.name for source in sources]
    asked = [*map(str, files), *judges]
    return [
        replace(source, name=other) if names.count(source.name) > 1 else source
        for source, other in zip(sources, asked, strict=True)
    ]


def _sources(workspace: Workspace, gold: Path | None, judges: Sequence[str]) -> tuple[JudgementSource, JudgementSource]:
    if gold is not None:
        if len(judges) != 1:
            raise InvalidInput(f"--gold is compared with one judge, {len(judges)} given", remedy=_USAGE)
        traces = read_gold_source(gold)
        return traces.source(), _judge(workspace, judges[0], traces.texts)
    if len(judges) != _PAIR:
        raise InvalidInput(f"two judges are compared without gold, {len(judges)} given", remedy=_USAGE)
    texts = _common_texts(workspace, judges)
    first, second = (_judge(workspace, name, texts) for name in judges)
    return first, second


ALL = "all"
"""Means every judge run and person of the workspace."""
_PAIR = 2
_SPAN_HEAD = ("", "hits", "extra", "missed", "ignored", "P", "R", "F1", "95 %", "F1 IoU>=0.5", "95 %")
_COUNT_HEAD = ("counts", "n", "reference", "judge", "bias", "exact", "MAE", "alpha", "presence kappa", "alpha")


def _judge(workspace: Workspace, name: str, texts: Sequence[TextToJudge]) -> JudgementSource:
    if _is_file(name):
        return read_gold_source(Path(name)).source()
    if name == RULES_NAME:
        return registered_source(name, texts)
    if name == LABELS_NAME:
        return final_label_source(workspace)[0]
    if name in JUDGES and not JUDGES.get(name).needs_config:
        recorded = run_source(read_judge_run(workspace, make_judge(name).run), texts)
        complete = all(text.id in recorded.traces for text in texts)
        return recorded if complete else registered_source(name, texts)
    try:
        return run_source(find_run(workspace, name), texts)
    except NotFound:
        if name not in JUDGES:
            raise
        return registered_source(name, texts)


def _is_file(name: str) -> bool:
    return name.endswith(".jsonl") or Path(name).is_file()


def _common_texts(workspace: Workspace, judges: Sequence[str]) -> list[TextToJudge]:
    """Return the texts of the first judge that has any; the rules have none."""
    for name in judges:
        if _is_file(name):
            return list(read_gold_source(Path(name)).texts)
        if name == RULES_NAME:
            continue
        if name == LABELS_NAME:
            return list(final_label_source(workspace)[1])
        try:
            return list(texts_of(find_run(workspace, name)))
        except NotFound:
            if name not in JUDGES:
                raise
    if set(judges) == {RULES_NAME}:
        raise InvalidInput("rules cannot be compared with rules", remedy=_USAGE)
    raise InvalidInput("neither judge has judged texts in this workspace", remedy=_USAGE)


# --- text ------------------------------------------------------------------------------------------------------


def _report(agreement: Agreement, limit: int) -> list[str]:
    health = agreement.health
    judged = max(agreement.compared.values(), default=0)
    spans = sum(health.alignments.values())
    found = ", ".join(f"{count} {name}" for name, count in sorted(health.alignments.items())) or "none"
    lines = [
        f"{agreement.judge} against {agreement.reference}: {judged} of {agreement.traces} traces judged, "
        f"{agreement.problems} problems",
        f"alignment: {spans} spans: {found}; {health.ambiguous} ambiguous; "
        f"{health.count_differs} counts that differ from their spans",
        "",
    ]
    any_overlap, strict = agreement.scores["any_overlap"], agreement.scores["iou50"]
    rows: list[tuple[str, ...]] = [_SPAN_HEAD]
    for behavior in agreement.compared:
        tally = any_overlap.tallies[behavior]
        rows.append(
            (
                behavior,
                *(str(value) for value in (tally.hits, tally.extra, tally.missed, tally.ignored)),
                *(format_number(value) for value in (tally.precision, tally.recall, tally.f1)),
                format_range(any_overlap.intervals[behavior]),
                format_number(strict.tallies[behavior].f1),
                format_range(strict.intervals[behavior]),
            )
        )
    blank = ("", "", "", "", "", "")
    macro = (format_number(any_overlap.macro), format_range(any_overlap.macro_interval))
    rows.append(("macro", *blank, *macro, format_number(strict.macro), format_range(strict.macro_interval)))
    lines += [*format_table(rows, range(1, len(rows[0])), width=output_width()), ""]
    lines += [*_count_lines(agreement), ""]
    lines += calibration_lines(agreement.calibration)
    if agreement.queue and limit:
        lines.append(f"most disagreement, {min(limit, len(agreement.queue))} of {len(agreement.queue)} traces:")
        rows = [("trace", f"only {agreement.reference}", f"only {agreement.judge}", "both")]
        rows += [
            (item.id, str(item.only_reference), str(item.only_judge), str(item.both))
            for item in agreement.queue[:limit]
        ]
        lines += format_table(rows, range(1, len(rows[0])), width=output_width())
    return lines


def _count_lines(agreement: Agreement) -> list[str]:
    rows: list[tuple[str, ...]] = [_COUNT_HEAD]
    for behavior in agreement.compared:
        counts, presence = agreement.counts[behavior], agreement.presence[behavior]
        figures = (counts.mean_first, counts.mean_second, counts.bias, counts.exact, counts.mae, counts.alpha)
        rows.append((behavior, str(counts.n), *map(format_number, (*figures, presence.kappa, presence.alpha))))
    return format_table(rows, range(1, len(rows[0])), width=output_width())


def _order_lines(ordered: Mapping[Behavior, GroupOrdering]) -> list[str]:
    groups = max((len(one.groups) for one in ordered.values()), default=0)
    if groups < _PAIR:
        return []
    taus = ", ".join(f"{behavior} {format_number(one.tau)}" for behavior, one in ordered.items())
    return ["", f"ordering of {groups} groups by mean count (Kendall's tau): {taus}"]


def _orderings_data(ordered: Mapping[Behavior, GroupOrdering]) -> dict[str, object]:
    return {
        behavior: {
            "tau": one.tau,
            "groups": [
                {"group": group.group, "n": group.n, "reference": group.reference, "judge": group.judge}
                for group in one.groups
            ],
        }
        for behavior, one in ordered.items()
    }
