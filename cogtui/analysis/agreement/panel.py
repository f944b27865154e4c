"""Agreement of any number of people and judges: Krippendorff's alpha, and every pair of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from cogtui.analysis.agreement.measures import JudgementSource, TraceFindings
from pipelines.behaviors.metrics.matching import match_spans
from pipelines.behaviors.metrics.reliability import MeasurementLevel, krippendorff_alpha, presence_agreement
from pipelines.behaviors.metrics.scores import SpanTally
from pipelines.behaviors.sets.registered import behaviors_in_use
from pipelines.errors import InvalidInput
from pipelines.records import Behavior

_RESAMPLES: Final = 300


@dataclass(frozen=True, slots=True)
class AlphaEstimate:
    """Krippendorff's alpha with its 95 % interval over problems."""

    alpha: float | None
    interval: tuple[float, float] | None
    traces: int
    """Traces that at least two of them judged; the others say nothing about agreement."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """The agreement of two of the judges on one behaviour."""

    first: str
    second: str
    behavior: Behavior
    traces: int
    kappa: float | None
    """Cohen's kappa of presence."""
    alpha: float | None
    """Of the counts, interval level."""
    f1: float | None
    """Of the spans at any overlap; None if neither has any."""


@dataclass(frozen=True, slots=True)
class PanelAgreement:
    """The agreement of several judges."""

    judges: tuple[str, ...]
    judged: tuple[int, ...]
    """Traces that each of them judged."""
    counts: dict[Behavior, AlphaEstimate]
    """Of the counts, interval level."""
    presence: dict[Behavior, AlphaEstimate]
    """Of presence, nominal level."""
    pairs: tuple[PairAgreement, ...]


def measure_panel(sources: Sequence[JudgementSource], *, seed: int = 0) -> PanelAgreement:
    """Measure the agreement of two or more judges; traces that only some of them judged count for these.

    Args:
        sources: one for each judge; names are unique.
        seed: of the intervals.

    Raises:
        InvalidInput: fewer than two judges, or two of one name.
    """
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInput(
            f"two judges are called {twice}", remedy="Name each once; gold files of one name lie in different folders."
        )
    if len(sources) < 2:
        raise InvalidInput(f"agreement is of two judges or more, {len(sources)} given")
    behaviors = behaviors_in_use(
        {name for source in sources for trace in source.traces.values() for name in trace.findings}
    )
    ids = sorted({uid for source in sources for uid in source.traces})
    return PanelAgreement(
        judges=tuple(names),
        judged=tuple(len(source.traces) for source in sources),
        counts={one: _alpha(sources, ids, one, "interval", seed) for one in behaviors},
        presence={one: _alpha(sources, ids, one, "nominal", seed) for one in behaviors},
        pairs=tuple(
            _pair(first, second, behavior) for first, second in combinations(sources, 2) for behavior in behaviors
        ),
    )


def _value(trace: TraceFindings | None, behavior: Behavior, level: MeasurementLevel) -> float | None:
    found = None if trace is None else trace.findings.get(behavior)
    if found is None or found.status != "ok" or found.count is None:
        return None
    return float(found.count if level == "interval" else found.count > 0)


def _alpha(
    sources: Sequence[JudgementSource], ids: Sequence[str], behavior: Behavior, level: MeasurementLevel, seed: int
) -> AlphaEstimate:
    problems: dict[str, list[list[float | None]]] = {}
    traces = 0
    for uid in ids:
        values = [_value(source.traces.get(uid), behavior, level) for source in sources]
        if sum(value is not None for value in values) > 1:
            problem = next(source.traces[uid].problem for source in sources if uid in source.traces)
            problems.setdefault(problem or uid, []).append(values)
            traces += 1
    units = [unit for found in problems.values() for unit in found]
    alpha = krippendorff_alpha(units, level)
    return AlphaEstimate(alpha, _interval(list(problems.values()), level, seed) if alpha is not None else None, traces)


def _interval(
    problems: Sequence[Sequence[Sequence[float | None]]], level: MeasurementLevel, seed: int
) -> tuple[float, float] | None:
    """Return the percentile interval over resampled problems; None with fewer than two."""
    if len(problems) < 2:
        return None
    rng = random.Random(seed)
    found = []
    for _ in range(_RESAMPLES):
        drawn = rng.choices(problems, k=len(problems))
        alpha = krippendorff_alpha([unit for units in drawn for unit in units], level)
        if alpha is not None:
            found.append(alpha)
    if len(found) < _RESAMPLES / 2:
        return None
    found.sort()
    return found[round(0.025 * (len(found) - 1))], found[round(0.975 * (len(found) - 1))]


def _pair(first: JudgementSource, second: JudgementSource, behavior: Behavior) -> PairAgreement:
    counts: list[tuple[float, float]] = []
    tallies: list[SpanTally] = []
    for uid, trace in first.traces.items():
        other = second.traces.get(uid)
        a, b = _value(trace, behavior, "interval"), _value(other, behavior, "interval")
        if a is None or b is None or other is None:
            continue
        counts.append((a, b))
        tallies.append(SpanTally.of(match_spans(other.findings[behavior].spans, trace.findings[behavior].spans)))
    return PairAgreement(
        first=first.name,
        second=second.name,
        behavior=behavior,
        traces=len(counts),
        kappa=presence_agreement([(a > 0, b > 0) for a, b in counts]).kappa,
        alpha=krippendorff_alpha(counts, "interval"),
        f1=SpanTally.sum(tallies).f1,
    )


def panel_data(found: PanelAgreement) -> dict[str, Any]:
    """Return plain data for `--json`. Undefined figures are null, never 0."""

    def alphas(estimates: dict[Behavior, AlphaEstimate]) -> dict[str, Any]:
        return {
            name: {"alpha": one.alpha, "interval": one.interval, "traces": one.traces}
            for name, one in estimates.items()
        }

    return {
        "judges": [{"name": name, "traces": n} for name, n in zip(found.judges, found.judged, strict=True)],
        "counts": alphas(found.counts),
        "presence": alphas(found.presence),
        "pairs": [
            {
                "first": one.first,
                "second": one.second,
                "behavior": one.behavior,
                "traces": one.traces,
                "presence_kappa": one.kappa,
                "count_alpha": one.alpha,
                "f1": one.f1,
            }
            for one in found.pairs
        ],
    }
