"""Where people decided otherwise than an LLM judge: examples for its prompts, and what they bring on other texts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cogtui.analysis.agreement.measures import Agreement, JudgementSource, measure_agreement
from cogtui.analysis.agreement.sources import TextToJudge
from pipelines.behaviors.judges.llm.few_shot import PromptExample, example_at
from pipelines.behaviors.metrics.bootstrap import Vector, cluster_sums, interval
from pipelines.behaviors.metrics.matching import match_spans
from pipelines.behaviors.metrics.scores import SpanTally, macro_f1
from pipelines.behaviors.sets.registered import behaviors_in_use
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, Span

_FEW_PROBLEMS: Final = 4
_TALLY: Final = 3


@dataclass(frozen=True, slots=True)
class TextSplit:
    """Texts to take examples from, and texts held out to measure what they bring."""

    examples: tuple[TextToJudge, ...]
    held_out: tuple[TextToJudge, ...]
    by_problem: bool
    """Whether no problem is on both sides; not possible with texts of one or two problems."""


def split_texts(texts: Sequence[TextToJudge], share: float = 0.5) -> TextSplit:
    """Split texts at random, by a fixed order of their problems' ids.

    Args:
        texts: judged by both sides.
        share: of the texts that is held out, about.

    Raises:
        InvalidInput: fewer than two texts.
    """
    if len(texts) < 2:
        raise InvalidInput(
            f"{len(texts)} texts are labelled by people and judged", remedy="Annotate more of what it judged."
        )
    problems = {text.problem_id or text.id for text in texts}
    by_problem = len(problems) >= _FEW_PROBLEMS
    key = {text.id: (text.problem_id or text.id) if by_problem else text.id for text in texts}
    order = sorted(set(key.values()), key=lambda name: hashlib.sha256(f"held out {name}".encode()).hexdigest())
    kept = set(order[: max(1, min(len(order) - 1, round(len(order) * share)))])
    return TextSplit(
        tuple(text for text in texts if key[text.id] not in kept),
        tuple(text for text in texts if key[text.id] in kept),
        by_problem,
    )


def find_examples(
    reference: JudgementSource, judge: JudgementSource, texts: Sequence[TextToJudge], *, most: int
) -> dict[Behavior, list[PromptExample]]:
    """Return examples of what a judge missed and of what it marked wrongly, by behaviour, missed and wrong in turn.

    Args:
        reference: the people's labels.
        judge: the judge to improve.
        texts: those to take examples from.
        most: examples of a behaviour at most.
    """
    found: dict[Behavior, list[PromptExample]] = {}
    behaviors = behaviors_in_use({name for trace in reference.traces.values() for name in trace.findings})
    for behavior in behaviors:
        missed: list[PromptExample] = []
        wrong: list[PromptExample] = []
        for text in texts:
            sides = [
                trace.findings.get(behavior)
                for source in (judge, reference)
                if (trace := source.traces.get(text.id)) is not None
            ]
            if len(sides) < 2 or any(side is None or side.status != "ok" for side in sides):
                continue
            predicted, gold = (side.spans if side is not None else () for side in sides)
            match = match_spans(predicted, gold)
            # One of each kind a text: examples of many texts show more than many of one.
            missed += _examples(text.text, [gold[place] for place in match.missed][:1], is_instance=True)
            wrong += _examples(text.text, [predicted[place] for place in match.extra][:1], is_instance=False)
        chosen = [one for pair in zip(missed, wrong, strict=False) for one in pair]
        chosen += missed[len(wrong) :] + wrong[len(missed) :]
        if chosen:
            found[behavior] = chosen[:most]
    return found


def _examples(text: str, spans: Sequence[Span], *, is_instance: bool) -> list[PromptExample]:
    return [
        example_at(text, span.start, span.end, is_instance=is_instance)
        for span in spans
        if span.start is not None and span.end is not None
    ]


@dataclass(frozen=True, slots=True)
class BeforeAndAfter:
    """The agreement of two versions of a judge with people, on the same held-out texts."""

    before: Agreement
    after: Agreement
    gain: float | None
    """Macro F1 after less before."""
    gain_interval: tuple[float, float] | None
    """Its 95 % interval, paired: whole problems are resampled with both versions."""


def compare_versions(
    reference: JudgementSource, before: JudgementSource, after: JudgementSource, texts: Sequence[TextToJudge]
) -> BeforeAndAfter:
    """Compare two versions of a judge on texts that both judged.

    Args:
        reference: the people's labels.
        before, after: the two versions.
        texts: the held-out texts.
    """
    ids = [text.id for text in texts if text.id in before.traces and text.id in after.traces]
    sides = [_only(source, ids) for source in (reference, before, after)]
    behaviors = behaviors_in_use({name for trace in sides[0].traces.values() for name in trace.findings})
    rows: list[tuple[str, Vector]] = []
    for text in texts:
        if text.id in ids:
            values: list[float] = []
            for source in sides[1:]:
                for behavior in behaviors:
                    tally = _tally(sides[0], source, text.id, behavior)
                    values += [tally.hits, tally.extra, tally.missed]
            rows.append((text.problem_id or text.id, tuple(values)))

    def gain(total: Vector) -> float | None:
        half = len(total) // 2
        scores = [_macro(total[:half]), _macro(total[half:])]
        return None if scores[0] is None or scores[1] is None else scores[1] - scores[0]

    clusters = cluster_sums(rows)
    whole = tuple(map(sum, zip(*clusters, strict=True)))
    return BeforeAndAfter(
        measure_agreement(sides[0], sides[1]),
        measure_agreement(sides[0], sides[2]),
        gain(whole) if whole else None,
        interval(clusters, gain) if whole else None,
    )


def _macro(values: Sequence[float]) -> float | None:
    tallies = [SpanTally(*map(int, values[at : at + _TALLY])) for at in range(0, len(values), _TALLY)]
    return macro_f1(tallies)


def _only(source: JudgementSource, ids: Sequence[str]) -> JudgementSource:
    traces: Mapping[str, object] = source.traces
    return JudgementSource(source.name, {uid: source.traces[uid] for uid in ids if uid in traces}, source.run)


def _tally(reference: JudgementSource, judge: JudgementSource, uid: str, behavior: Behavior) -> SpanTally:
    gold = reference.traces[uid].findings.get(behavior) if uid in reference.traces else None
    predicted = judge.traces[uid].findings.get(behavior)
    if gold is None or predicted is None or gold.status != "ok" or predicted.status != "ok":
        return SpanTally()
    return SpanTally.of(match_spans(predicted.spans, gold.spans))
