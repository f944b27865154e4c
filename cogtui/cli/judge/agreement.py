"""Prints the agreement of two sources of judgements."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cogtui.analysis.agreement.measures import Agreement, JudgementSource, as_data, measure_agreement
from cogtui.analysis.agreement.ordering import GroupOrdering, compare_orderings
from cogtui.analysis.agreement.sources import (
    RULES_NAME,
    TextToJudge,
    find_run,
    read_gold_source,
    registered_source,
    run_source,
    texts_of,
)
from cogtui.cli.console.alignment import align_columns
from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import JUDGES
from pipelines.errors import InvalidInput, NotFound
from pipelines.records import Behavior

_USAGE = "Give --gold FILE --judge NAME, or --judge A --judge B."


def show_agreement(
    workspace: Workspace, gold: Path | None, judges: Sequence[str], *, seed: int, limit: int, as_json: bool
) -> None:
    """Compare two sources of judgements and print the comparison.

    Raises:
        InvalidInput: not one judge with gold, nor two without; a gold file with a wrong row.
        NotFound: no such file or judge run.
    """
    reference, judge = _sources(workspace, gold, judges)
    agreement = measure_agreement(reference, judge, seed=seed)
    ordered = compare_orderings(reference, judge)
    if as_json:
        emit_json(as_data(agreement) | {"orderings": _orderings_data(ordered)}, agreement.warnings)
        return
    for line in [*_report(agreement, limit), *_order_lines(ordered)]:
        emit(line)
    for warning in agreement.warnings:
        narrate(f"warning: {warning}")


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


_PAIR = 2
_SPAN_HEAD = ("", "hits", "extra", "missed", "ignored", "P", "R", "F1", "95 %", "F1 IoU>=0.5", "95 %")
_COUNT_HEAD = ("counts", "n", "reference", "judge", "bias", "exact", "MAE", "alpha", "presence kappa", "alpha")


def _judge(workspace: Workspace, name: str, texts: Sequence[TextToJudge]) -> JudgementSource:
    if _is_file(name):
        return read_gold_source(Path(name)).source()
    if name == RULES_NAME:
        return registered_source(name, texts)
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
                *(_number(value) for value in (tally.precision, tally.recall, tally.f1)),
                _range(any_overlap.intervals[behavior]),
                _number(strict.tallies[behavior].f1),
                _range(strict.intervals[behavior]),
            )
        )
    blank = ("", "", "", "", "", "")
    macro = (_number(any_overlap.macro), _range(any_overlap.macro_interval))
    rows.append(("macro", *blank, *macro, _number(strict.macro), _range(strict.macro_interval)))
    lines += [*align_columns(rows, range(1, len(rows[0]))), ""]
    lines += [*_count_lines(agreement), ""]
    if agreement.queue and limit:
        lines.append(f"most disagreement, {min(limit, len(agreement.queue))} of {len(agreement.queue)} traces:")
        rows = [("trace", f"only {agreement.reference}", f"only {agreement.judge}", "both")]
        rows += [
            (item.id, str(item.only_reference), str(item.only_judge), str(item.both))
            for item in agreement.queue[:limit]
        ]
        lines += align_columns(rows, range(1, len(rows[0])))
    return lines


def _count_lines(agreement: Agreement) -> list[str]:
    rows: list[tuple[str, ...]] = [_COUNT_HEAD]
    for behavior in agreement.compared:
        counts, presence = agreement.counts[behavior], agreement.presence[behavior]
        values = (counts.mean_first, counts.mean_second, counts.bias, counts.exact, counts.mae, counts.alpha)
        rows.append((behavior, str(counts.n), *map(_number, values), _number(presence.kappa), _number(presence.alpha)))
    return align_columns(rows, range(1, len(rows[0])))


def _order_lines(ordered: Mapping[Behavior, GroupOrdering]) -> list[str]:
    groups = max((len(one.groups) for one in ordered.values()), default=0)
    if groups < _PAIR:
        return []
    taus = ", ".join(f"{behavior} {_number(one.tau)}" for behavior, one in ordered.items())
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


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _range(values: tuple[float, float] | None) -> str:
    return "-" if values is None else f"{values[0]:.2f}-{values[1]:.2f}"
