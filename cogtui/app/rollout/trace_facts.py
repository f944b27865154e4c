"""The lines of facts around a completion: header, legend, problem, one span."""

from collections.abc import Sequence

from rich.cells import cell_len

from cogtui.app.rendering.highlight import minimap
from cogtui.app.rendering.styles import INK_STYLES, SPAN_STYLES, Part, StyleName
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.rollout.rollout_columns import MISSING, answer_part
from cogtui.app.rollout.trace_data import JudgeRunView, ProblemFacts, RulesJudgement
from cogtui.app.widgets.detail_pane import labelled_rows
from cogtui.store import RolloutDetail
from cogtui.store.user_data.annotations import ADJUDICATED, HUMAN, annotator_of
from cogtui.store.values.import_facts import check_lines, gold_text
from pipelines.behaviors.judges.registry import judge_evidence
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, DEFINITIONS
from pipelines.records import JudgeRun, LabelledSpan
from pipelines.tasks.registry import describe_problem
from pipelines.wording import count_of

Rows = list[list[Part]]
_LEAST_PROBLEM = 16


def head_rows(detail: RolloutDetail, place: str, width: int = 1000) -> Rows:
    """Return the header: which rollout it is and how it ended. The problem is shortened where a line is too long."""
    row = detail.row
    origin = [text for text in (row.condition, None if row.seed is None else f"seed {row.seed}") if text]
    origin += [f"step {row.step}", row.split, f"problem {row.problem_id} #{row.sample}"]
    first: list[Part] = [(f" {place}" if place else " ", "dim")]
    first += [("  " if place else "", ""), (printable_line(" · ".join(origin), 200), "strong"), (f"  {row.id}", "dim")]
    reward = MISSING if row.reward is None else f"{row.reward:.2f}"
    ended = {"stop": ", ended by itself", "length": ", cut off at the limit", "error": ", ended with an error"}
    length = count_of(row.length, "character") if row.n_tokens is None else count_of(row.n_tokens, "token")
    text, style = answer_part(row)
    second: list[Part] = [(f" {text if text != MISSING else 'not scored'}", style), (f"  reward {reward}", "")]
    answer = f"  answer {printable_line(detail.answer, 80)}" if detail.answer is not None else "  no answer"
    problem = printable_line(row.describe(), 100)
    how = ended.get(row.finish_reason, "")
    for end in (f"  {length}{how}", f"  {length}"):
        room = width - cell_len("".join(part for part, _ in second)) - cell_len(answer + end) - 2
        if cell_len(problem) <= room or room >= _LEAST_PROBLEM:
            break
    if cell_len(problem) > room:
        problem = fit(problem, max(room, _LEAST_PROBLEM))
    return [first, [*second, (f"  {problem}", "strong"), (answer, ""), (end, "dim")]]


def legend_parts(trace: JudgeRunView, width: int = 1000, more: Sequence[Part] = ()) -> list[Part]:
    """Return the legend: letter, name and count of each behaviour, the judge, lost spans, and further parts.

    Names are shortened if the line would not fit otherwise.
    """
    whole = [*_legend(trace, short=False), *more]
    fits = sum(len(text) for text, _ in whole) <= width
    return whole if fits else [*_legend(trace, short=True), *more]


def _legend(trace: JudgeRunView, *, short: bool) -> list[Part]:
    parts: list[Part] = []
    for behavior in trace.behaviors:
        count = trace.count(behavior)
        style: StyleName = "" if count.isdigit() else "dim" if count == MISSING else "warn"
        parts.append((f" {BEHAVIOR_LETTERS[behavior]} ", (SPAN_STYLES[behavior], "strong")))
        name = DEFINITIONS[behavior].short if short else behavior.replace("_", " ")
        parts.append((f" {name} {count} ", style))
    parts.append((f" {judge_name(trace.run)}" if trace.run else " not judged", "dim"))
    if trace.stale:
        parts.append(("  judged another text: spans not shown", "bad"))
    elif trace.lost:
        parts.append((f"  {len(trace.lost)} not found", "bad"))
    return parts


def judge_name(run: JudgeRun) -> str:
    """Return the judge's name with its model, or the annotator's name."""
    if annotator_of(run) == ADJUDICATED:
        return "people, final labels"
    if run.judge == HUMAN:
        return printable_line(f"{HUMAN} {annotator_of(run)}".rstrip(), 60)
    return printable_line(run.judge if run.model is None or run.model in run.judge else f"{run.judge} {run.model}", 60)


def minimap_parts(length: int, spans: Sequence[LabelledSpan], seen: tuple[int, int], width: int) -> list[Part]:
    """Return a strip along the trace: letters of the behaviours, `+` for several; the visible part is emphasised."""
    width = max(1, width - 2)
    parts: list[Part] = [("▕", "dim")]
    for cell, behaviors in enumerate(minimap(length, spans, width)):
        inside = bool(length) and seen[0] * width // length <= cell <= max(seen[1] - 1, 0) * width // length
        if not behaviors:
            parts.append(("─" if inside else "·", "" if inside else "dim"))
            continue
        letter = BEHAVIOR_LETTERS[behaviors[0]] if len(behaviors) == 1 else "+"
        parts.append((letter, SPAN_STYLES[behaviors[0]] if inside else INK_STYLES[behaviors[0]]))
    return [*parts, ("▏", "dim")]


def span_rows(span: LabelledSpan | None, trace: JudgeRunView, width: int) -> Rows:
    """Return all details of one span: quote, range, alignment, judge, model, prompt, reason."""
    if span is None:
        if trace.run is None:
            return [[(" not judged yet", "dim")]]
        keys = [BEHAVIOR_LETTERS[behavior].lower() for behavior in trace.behaviors]
        return [[(f" {' '.join(f']{key} [{key}' for key in keys)}  jump from span to span", "dim")]]
    place = "its quote was not found in the text" if span.start is None else f"{span.start}–{span.end}"
    doubts = [word for word, on in (("ambiguous", span.ambiguous), ("weak", span.weak), ("repeat", span.repeat)) if on]
    rows: Rows = [
        [
            (f" {BEHAVIOR_LETTERS[span.behavior]} ", (SPAN_STYLES[span.behavior], "strong")),
            (f" {span.behavior.replace('_', ' ')}  {place}", ""),
        ]
    ]
    rows += labelled_rows("quote", span.quote, width, limit=4)
    rows += labelled_rows("aligned", ", ".join([f"{span.alignment} {span.score:.2f}", *doubts]), width)
    rows += labelled_rows("why", span.why, width, limit=4)
    if trace.run is not None:
        rows += labelled_rows("judge", judge_name(trace.run), width)
        if trace.run.prompt_sha256:
            rows += labelled_rows("prompt", f"sha256 {trace.run.prompt_sha256[:16]}", width)
    return rows


def problem_rows(detail: RolloutDetail, facts: ProblemFacts | None, now: RulesJudgement | None, width: int) -> Rows:
    """Prompt, answer, its exact value, why it earned what it did, a solution; note and source."""
    row = detail.row
    rows: Rows = labelled_rows("problem", describe_problem(row.task, row.problem).full, width, "strong", limit=12)
    rows += labelled_rows("answer", detail.answer if detail.answer is not None else "none", width, limit=3)
    rows += labelled_rows("gold", gold_text(detail.meta) or "", width, limit=3)
    for line in check_lines(detail.meta):
        rows += labelled_rows("check", line, width, "warn")
    if facts is not None:
        rows += labelled_rows("value", facts.value or "none", width, limit=2)
        rows += labelled_rows("verdict", facts.verdict, width)
        if facts.disputed:
            stored = "correct" if row.correct else "wrong"
            rows += labelled_rows("scored", f"{stored} by the run, whose reward rules differ", width, "warn")
        rows += labelled_rows("solution", facts.solution or "none was found", width, limit=2)
    for index, fact in enumerate(now.facts[:5] if now is not None else ()):
        rows += labelled_rows("" if index else "wrong", f"{fact.quote}: {fact.why}", width, "bad", limit=2)
    shown = next((run for run in detail.judge_runs if run.id == row.judge), None)
    if shown is not None:
        rows += labelled_rows("evidence", judge_evidence(shown.judge, row.task, row.problem), width, "dim", limit=2)
    rows += labelled_rows("prompt", detail.prompt, width, limit=12)
    rows += labelled_rows("note", detail.note, width)
    rows += labelled_rows("tags", " ".join(detail.tags), width)
    rows += labelled_rows("id", row.id, width, "dim")
    rows += labelled_rows("stage", row.stage, width, "dim")
    rows += labelled_rows("source", detail.source, width, "dim", limit=2)
    for name, value in list(detail.meta.items())[:12]:
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows += labelled_rows(fit(printable_line(str(name), 20), 10), text[:500], width, "dim", limit=2)
    return rows
