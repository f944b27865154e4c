"""Prints one rollout as text, with a gutter of letters for the behaviours of each line."""

from collections.abc import Iterator

from cogtui.cli.console.output import emit, emit_json, narrate
from cogtui.cli.rollouts.shared import fresh_store
from cogtui.store import RolloutDetail
from cogtui.store.query.serialize import detail_dict, shown_judgements
from cogtui.store.values.import_facts import check_lines, gold_text
from cogtui.store.values.types import BehaviorJudgement
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import judge_evidence
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, behaviors_counted, behaviors_in_use
from pipelines.records import AttemptFact, Behavior
from pipelines.text_safety import picture_controls

_QUOTE_WIDTH = 100


def show_trace(workspace: Workspace, rollout: str, *, as_json: bool) -> None:
    """Print one rollout."""
    store, warnings = fresh_store(workspace)
    with store:
        detail = store.rollout(rollout)
    if as_json:
        emit_json(detail_dict(detail), warnings)
        return
    for line in trace_lines(detail):
        emit(line)
    for warning in warnings:
        narrate(f"warning: {warning}")


def trace_lines(detail: RolloutDetail) -> Iterator[str]:
    """Yield the rollout as lines of text."""
    row = detail.row
    yield f"rollout   {row.id}  {row.stage}, step {row.step}, {row.split}, sample {row.sample}"
    yield f"condition {row.condition or '-'}" + ("" if row.seed is None else f"  seed {row.seed}")
    yield f"problem   {row.problem_id}: {picture_controls(row.describe('->'))}"
    yield f"answer    {quote_text(detail.answer) if detail.answer is not None else '(none)'}"
    gold = gold_text(detail.meta)
    if gold is not None:
        yield f"gold      {quote_text(gold)}"
    yield f"reward    {_reward(detail)}  ({row.finish_reason}, {row.length:,} characters{_tokens(detail)})"
    for line in check_lines(detail.meta):
        yield f"check     {picture_controls(line)}"
    yield f"judge     {_judged(detail)}"
    shown = next((run for run in detail.judge_runs if run.id == detail.row.judge), None)
    evidence = "" if shown is None else judge_evidence(shown.judge, detail.row.task, detail.row.problem)
    if evidence:
        yield f"evidence  {evidence}"
    if detail.note or detail.tags:
        yield f"note      {quote_text(detail.note)} {' '.join(f'#{tag}' for tag in detail.tags)}".rstrip()
    yield ""
    for line in detail.prompt.split("\n"):
        yield f"     > {line}"
    yield ""
    yield from gutter_lines(detail)
    for run in detail.judge_runs:
        said = [one for one in detail.judgements if one.judge_run == run.id]
        yield ""
        yield f"{run.id}: " + ", ".join(_count(one) for one in said)
        for one in said:
            yield from _span_lines(one, detail.completion)
        for fact in (fact for one in said for fact in one.facts):
            yield f"  {fact.kind.replace('_', ' ')} {fact.start}:{fact.end}  {quote_text(fact.quote)}: {fact.why}"
        for attempt in (attempt for one in said for attempt in one.attempts):
            yield f"  attempt {attempt.start}:{attempt.end}  {_attempt(attempt)}"


def _attempt(attempt: AttemptFact) -> str:
    parts = ["complete" if attempt.complete else "legal" if attempt.legal else "illegal numbers"]
    parts.append(f"{attempt.equations} equations, {attempt.wrong} wrong")
    parts.append("reaches the target" if attempt.reached else "misses the target")
    if attempt.said is not None:
        parts.append("judged right" if attempt.said else "judged wrong")
    return ", ".join(parts)


def gutter_lines(detail: RolloutDetail) -> Iterator[str]:
    """Yield the lines of the completion, each after the letters of its behaviours."""
    said = shown_judgements(detail)
    behaviors = behaviors_in_use(one.behavior for one in said)
    lanes: dict[Behavior, list[tuple[int, int]]] = {behavior: [] for behavior in behaviors}
    for one in said:
        lanes[one.behavior] += [
            (span.start, span.end) for span in one.spans if span.start is not None and span.end is not None
        ]
    start = 0
    for line in detail.completion.split("\n"):
        end = start + len(line)
        letters = "".join(
            BEHAVIOR_LETTERS[behavior] if any(a < end and b > start for a, b in lanes[behavior]) else " "
            for behavior in behaviors
        )
        yield f"{letters} | {line}"
        start = end + 1


def _span_lines(judgement: BehaviorJudgement, completion: str) -> Iterator[str]:
    letter = BEHAVIOR_LETTERS[judgement.behavior]
    for span in judgement.spans:
        place = "unplaced" if span.start is None else f"{span.start}:{span.end}"
        how = span.alignment + (f" {span.score:.2f}" if span.alignment == "fuzzy" else "")
        doubts = " ambiguous" * span.ambiguous + " weak" * span.weak + " repeat" * span.repeat
        yield f"  {letter} {place:<13} {how}{doubts}  {quote_text(span.quote)}"
        if span.start is not None and span.alignment != "exact":
            yield f"    in the text: {quote_text(completion[span.start : span.end])}"
        if span.why:
            yield f"    why: {quote_text(span.why)}"


def quote_text(text: str) -> str:
    """Return a text on one line in quotes, cut to 100 characters, control characters replaced."""
    shown = picture_controls(text)
    return f'"{shown}"' if len(shown) <= _QUOTE_WIDTH else f'"{shown[:_QUOTE_WIDTH]}…" ({len(text):,} characters)'


def _reward(detail: RolloutDetail) -> str:
    row = detail.row
    if row.reward is None:
        return "not scored"
    return f"{row.reward:g}, {'correct' if row.correct else 'not correct' if row.correct is False else 'unknown'}"


def _tokens(detail: RolloutDetail) -> str:
    return "" if detail.row.n_tokens is None else f", {detail.row.n_tokens:,} tokens"


def _judged(detail: RolloutDetail) -> str:
    if detail.row.judge is None:
        return "not judged"
    by_name = dict(zip(BEHAVIORS, detail.row.counts, strict=True))
    counts = [(name, by_name[name]) for name in behaviors_counted([detail.row.counts])]
    return f"{detail.row.judge}  " + "  ".join(f"{name} {'-' if count is None else count}" for name, count in counts)


def _count(judgement: BehaviorJudgement) -> str:
    said = judgement.status if judgement.count is None else str(judgement.count)
    return f"{judgement.behavior} {said}" + (" (of another text)" if judgement.stale else "")
