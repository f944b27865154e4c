"""Prints one rollout: what is known of it, its text with a gutter of behaviour letters, and its spans."""

from collections.abc import Iterable, Iterator

from cogtui.cli.console.layout import output_width, wrap_words
from cogtui.cli.console.output import emit, emit_json, narrate, printable
from cogtui.cli.rollouts.shared import fresh_store
from cogtui.cli.rollouts.trace_text import print_completion
from cogtui.store import RolloutDetail
from cogtui.store.query.serialize import detail_dict
from cogtui.store.values.import_facts import check_lines, gold_text
from cogtui.store.values.types import BehaviorJudgement
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import judge_evidence
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, behaviors_counted
from pipelines.records import AttemptFact
from pipelines.text_safety import picture_controls
from pipelines.wording import count_of

_QUOTE_WIDTH = 100
_PROMPT = "     > "


def show_trace(workspace: Workspace, rollout: str, *, raw: bool, as_json: bool) -> None:
    """Print one rollout; with `raw`, or without a terminal, lines as they are stored and without colours."""
    store, warnings = fresh_store(workspace)
    with store:
        detail = store.rollout(rollout)
    if as_json:
        emit_json(detail_dict(detail), warnings)
        return
    width = None if raw else output_width()
    _print_lines(_head_lines(detail), width, " " * 10)
    emit()
    for line in wrap_words(printable(detail.prompt), None if width is None else width - len(_PROMPT)):
        emit(_PROMPT + line)
    emit()
    print_completion(detail, width, colored=not raw)
    _print_lines(_judge_lines(detail), width, "    ")
    for warning in warnings:
        narrate(f"warning: {warning}")


def _print_lines(lines: Iterable[str], width: int | None, hanging: str) -> None:
    for line in lines:
        for piece in wrap_words(printable(line), width, hanging):
            emit(piece)


def _head_lines(detail: RolloutDetail) -> Iterator[str]:
    row = detail.row
    yield f"rollout   {row.id}  {row.stage}, step {row.step}, {row.split}, sample {row.sample}"
    yield f"condition {row.condition or '-'}" + ("" if row.seed is None else f"  seed {row.seed}")
    yield f"problem   {row.problem_id}: {picture_controls(row.describe('->'))}"
    yield f"answer    {quote_text(detail.answer) if detail.answer is not None else '(none)'}"
    gold = gold_text(detail.meta)
    if gold is not None:
        yield f"gold      {quote_text(gold)}"
    yield f"reward    {_reward(detail)}  ({row.finish_reason}, {count_of(row.length, 'character')}{_tokens(detail)})"
    for line in check_lines(detail.meta):
        yield f"check     {picture_controls(line)}"
    yield f"judge     {_judged(detail)}"
    shown = next((run for run in detail.judge_runs if run.id == detail.row.judge), None)
    evidence = "" if shown is None else judge_evidence(shown.judge, detail.row.task, detail.row.problem)
    if evidence:
        yield f"evidence  {evidence}"
    if detail.note or detail.tags:
        yield f"note      {quote_text(detail.note)} {' '.join(f'#{tag}' for tag in detail.tags)}".rstrip()


def _judge_lines(detail: RolloutDetail) -> Iterator[str]:
    """Yield what each judge run says: counts, then spans, facts and attempts."""
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
    return "" if detail.row.n_tokens is None else f", {count_of(detail.row.n_tokens, 'token')}"


def _judged(detail: RolloutDetail) -> str:
    if detail.row.judge is None:
        return "not judged"
    by_name = dict(zip(BEHAVIORS, detail.row.counts, strict=True))
    counts = [(name, by_name[name]) for name in behaviors_counted([detail.row.counts])]
    return f"{detail.row.judge}  " + "  ".join(f"{name} {'-' if count is None else count}" for name, count in counts)


def _count(judgement: BehaviorJudgement) -> str:
    said = judgement.status if judgement.count is None else str(judgement.count)
    return f"{judgement.behavior} {said}" + (" (of another text)" if judgement.stale else "")
