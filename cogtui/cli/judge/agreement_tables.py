"""Tables of the agreement of several judges, of a judge's versions, and of its calibration."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cogtui.analysis.agreement.judge_history import JudgeVersion
from cogtui.analysis.agreement.panel import AlphaEstimate, PanelAgreement, panel_data
from cogtui.cli.console.layout import format_table, output_width
from cogtui.cli.console.output import emit, emit_json, emit_table, emit_wrapped
from pipelines.behaviors.metrics.calibration import Calibration
from pipelines.records import Behavior
from pipelines.wording import count_of


def show_panel(found: PanelAgreement, *, as_json: bool) -> None:
    """Print the agreement of several judges."""
    if as_json:
        emit_json(panel_data(found))
        return
    judges = ", ".join(f"{name} ({n:,})" for name, n in zip(found.judges, found.judged, strict=True))
    emit_wrapped(f"{len(found.judges)} judges (traces): {judges}", "  ")
    emit("")
    rows = [("Krippendorff's alpha", "traces", "counts", "95 %", "presence", "95 %")]
    rows += [
        (behavior, str(one.traces), *_alpha_cells(one), *_alpha_cells(found.presence[behavior]))
        for behavior, one in found.counts.items()
    ]
    emit_table(rows, range(1, len(rows[0])))
    emit("")
    pairs: list[tuple[str, ...]] = [("pair", "behaviour", "traces", "presence kappa", "count alpha", "span F1")]
    pairs += [
        (
            f"{one.first} – {one.second}",
            one.behavior,
            str(one.traces),
            *map(format_number, (one.kappa, one.alpha, one.f1)),
        )
        for one in found.pairs
    ]
    emit_table(pairs, range(2, len(pairs[0])), layout="stack")


def _alpha_cells(one: AlphaEstimate) -> tuple[str, str]:
    return format_number(one.alpha), format_range(one.interval)


def show_versions(versions: Sequence[JudgeVersion], *, as_json: bool) -> None:
    """Print every version of a judge, the oldest first, against one reference."""
    if as_json:
        emit_json([_version_data(one) for one in versions])
        return
    first = versions[0].agreement
    count = count_of(len(versions), "version")
    emit_wrapped(f"{versions[0].run.judge} against {first.reference}, {count}; kappa of presence, macro F1", "  ")
    behaviors = list(first.compared)
    rows: list[tuple[str, ...]] = [("since", "run", "prompts", "traces", *behaviors, "F1")]
    for one in versions:
        agreement = one.agreement
        rows.append(
            (
                time.strftime("%Y-%m-%d %H:%M", time.localtime(one.since)),
                one.run.id,
                (one.run.prompt_sha256 or "-")[:8],
                str(max(agreement.compared.values(), default=0)),
                *(format_number(found.kappa) for found in agreement.presence.values()),
                format_number(agreement.scores["any_overlap"].macro),
            )
        )
    emit_table(rows, range(3, len(rows[0])), layout="stack")


def _version_data(one: JudgeVersion) -> dict[str, Any]:
    agreement = one.agreement
    return {
        "run": one.run.id,
        "since": one.since,
        "prompt_sha256": one.run.prompt_sha256,
        "params": one.run.params,
        "traces": dict(agreement.compared),
        "presence_kappa": {name: found.kappa for name, found in agreement.presence.items()},
        "count_alpha": {name: found.alpha for name, found in agreement.counts.items()},
        "macro_f1": agreement.scores["any_overlap"].macro,
    }


def calibration_lines(calibration: Mapping[Behavior, Calibration | None]) -> list[str]:
    """Return the reliability curves of a judge's probabilities; no lines if it gives none."""
    known = {behavior: found for behavior, found in calibration.items() if found is not None}
    if not known:
        return []
    rows: list[tuple[str, ...]] = [("calibration", "spans", "ECE", "Brier", "says → is right (spans)")]
    for behavior, found in known.items():
        curve = ", ".join(f"{one.confidence:.2f} → {one.accuracy:.2f} ({one.n})" for one in found.bins)
        rows.append((behavior, str(found.n), format_number(found.ece), format_number(found.brier), curve))
    return [*format_table(rows, range(1, 4), layout="stack", width=output_width()), ""]


def format_number(value: float | None) -> str:
    """Format a figure with three digits; a dash if it is undefined."""
    return "-" if value is None else f"{value:.3f}"


def format_range(values: tuple[float, float] | None) -> str:
    """Format an interval; a dash if it is undefined."""
    return "-" if values is None else f"{values[0]:.2f}-{values[1]:.2f}"
