"""Comparing judges over an index: what two of them said of the same rollouts, sampled where those are many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cogtui.analysis.agreement.measures import Agreement, JudgedTrace, Said, Source, compare
from cogtui.analysis.agreement.ordering import Ordering, orderings
from cogtui.analysis.agreement.sources import Text, Traces, read_gold_source, said_by_spans
from cogtui.store import RolloutDetail, Store
from cogtui.store.values.types import BehaviorJudgement
from pipelines.errors import CogtuiError, Interrupted, InvalidInput
from pipelines.records import Behavior

SAMPLE: Final = 500
"""Traces compared at most, unless more are asked for."""
Report = Callable[[int, int], None]
"""Told how many of how many traces are read; may raise `Interrupted`."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two that are compared."""

    kind: Literal["run", "rules", "gold"]
    """A judge run of the index; the rules, here and now; a gold file."""
    name: str
    """As a screen calls it."""
    run: str = ""
    """Id of a judge run."""
    path: str = ""
    """Of a gold file."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two judges compared."""

    reference: Source
    judge: Source
    agreement: Agreement
    checkpoints: Mapping[Behavior, Ordering]
    """Ordering of condition and step."""
    conditions: Mapping[Behavior, Ordering]
    """Ordering of conditions, all steps together."""
    texts: Mapping[str, Text]
    """Of the traces in the queue, by id."""
    total: int
    """Traces that both could be compared on; `agreement.traces` of them were."""


def compare_sides(store: Store, first: Side, second: Side, *, limit: int, report: Report) -> Comparison:
    """Compares two sides over the rollouts of a store, or over a gold file's traces.

    Args:
        store: of the thread this runs in.
        first: the reference.
        second: the judge measured.
        limit: traces at most; a sample where there are more.
        report: progress.

    Raises:
        InvalidInput: the two cannot be compared; says why. Also what reading a gold file raises.
        Interrupted: from `report`.
    """
    sides = (first, second)
    texts: dict[str, Text] = {}
    conditions: dict[str, str] = {}
    found: tuple[dict[str, JudgedTrace], dict[str, JudgedTrace]] = ({}, {})
    total, walked = _walk(store, sides, limit)
    for done, (text, condition, said) in enumerate(walked, start=1):
        texts[text.id], conditions[text.id] = text, condition
        for traces, one in zip(found, said, strict=True):
            if one:
                traces[text.id] = JudgedTrace(text.id, text.problem, one, text.group)
        report(done, min(total, limit))
    reference = Source(first.name, found[0], first.run)
    judge = Source(second.name, found[1], second.run)
    agreement = compare(reference, judge)
    queued = {item.id for item in agreement.queue}
    return Comparison(
        reference=reference,
        judge=judge,
        agreement=agreement,
        checkpoints=orderings(reference, judge),
        conditions=orderings(reference, judge, lambda trace: conditions[trace.id]),
        texts={name: text for name, text in texts.items() if name in queued},
        total=total,
    )


_Walked = tuple[Text, str, tuple[Mapping[Behavior, Said], Mapping[Behavior, Said]]]


def _walk(store: Store, sides: tuple[Side, Side], limit: int) -> tuple[int, Iterator[_Walked]]:
    """How many traces there are, and for each of a sample its text, its condition and what both sides say."""
    gold = [side for side in sides if side.kind == "gold"]
    if gold:
        traces = read_gold_source(Path(gold[0].path))
        others = [read_gold_source(Path(side.path)) for side in gold[1:]]
        return len(traces.texts), _over_gold(store, sides, [traces, *others], limit)
    runs = [side.run for side in sides if side.kind == "run"]
    if not runs:
        raise InvalidInput("the rules agree with themselves", remedy="Choose another judge.")
    total, ids = store.judged_in_common(runs, limit=limit)
    return total, _over_rollouts(store, sides, ids)


def _over_rollouts(store: Store, sides: tuple[Side, Side], ids: list[str]) -> Iterator[_Walked]:
    for detail in _details(store, ids):
        row = detail.row
        condition = row.condition or ""
        group = " ".join([*([condition] if condition else []), row.split, f"step {row.step}"])
        text = Text(row.id, row.numbers, row.target, detail.completion, group)
        yield text, condition, (_said(sides[0], text, detail), _said(sides[1], text, detail))


def _details(store: Store, ids: list[str]) -> Iterator[RolloutDetail]:
    for name in ids:
        try:
            yield store.rollout(name)
        except CogtuiError:
            continue  # gone since; it is in no figure


def _over_gold(store: Store, sides: tuple[Side, Side], golds: list[Traces], limit: int) -> Iterator[_Walked]:
    sources = [gold.source() for gold in golds]
    for text in golds[0].texts[:limit]:
        detail = _rollout_like(store, text) if any(side.kind == "run" for side in sides) else None
        said: list[Mapping[Behavior, Said]] = []
        files = iter(sources)
        for side in sides:
            if side.kind == "gold":
                trace = next(files).traces.get(text.id)
                said.append({} if trace is None else trace.said)
            else:
                said.append({} if detail is None and side.kind == "run" else _said(side, text, detail))
        yield text, "", (said[0], said[1])


def _rollout_like(store: Store, text: Text) -> RolloutDetail | None:
    """The rollout that a gold trace is of: by its id if the text is the same, else by the text."""
    try:
        detail = store.rollout(text.id)
        if detail.row.id == text.id and detail.completion == text.text:
            return detail
    except CogtuiError:
        pass
    name = store.same_text(text.numbers, text.target, text.text)
    return None if name is None else store.rollout(name)


def _said(side: Side, text: Text, detail: RolloutDetail | None) -> Mapping[Behavior, Said]:
    if side.kind == "rules":
        from pipelines.behaviors.judges.rules.judge import judge_completion

        return said_by_spans(judge_completion(text.text, text.numbers, text.target).spans)
    return {} if detail is None else _said_by_run(detail.judgements, side.run)


def _said_by_run(judgements: tuple[BehaviorJudgement, ...], run: str) -> Mapping[Behavior, Said]:
    """What a run said; of another text than this one it said nothing."""
    return {
        one.behavior: Said(one.status, one.count, one.spans)
        for one in judgements
        if one.judge_run == run and not one.stale
    }


__all__ = ["SAMPLE", "Comparison", "Interrupted", "Side", "compare_sides"]
