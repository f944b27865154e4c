"""The dialogue about one trace: one question per behaviour, and at most one corrective question for each."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from pipelines.behaviors.align import JudgeQuote, align_quotes
from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeTask
from pipelines.behaviors.judges.llm.answer import SCHEMA, JudgeAnswer, UnreadableAnswer, parse_answer, parse_count
from pipelines.behaviors.judges.llm.prompts import JudgePrompts
from pipelines.behaviors.judges.llm.view import SegmentWindow, nonce_of, numbered, shown, windows
from pipelines.behaviors.segment import TextRange, segments
from pipelines.llm.prices import Price
from pipelines.llm.requests import ModelReply, ModelRequest, TokenUsage
from pipelines.records import Alignment, Behavior, JudgeStatus, Span
from pipelines.tasks.registry import describe_problem, rules_context

_SHOWN_QUOTE: Final = 200
_SEVERITY: Final[tuple[JudgeStatus, ...]] = ("api_error", "refused", "truncated", "parse_error", "ok")

_LOST: Final[tuple[Alignment, ...]] = ("segment", "unaligned")
"""Alignments that do not rest on the quote: it was not found in the named segment, or nowhere."""


@dataclass(frozen=True, slots=True)
class JudgePromptConfig:
    """The prompts and sampling parameters of an LLM judge: everything that can change its verdicts."""

    prompts: JudgePrompts
    max_tokens: int
    """Token limit of an answer."""
    temperature: float | None
    reasks: int
    """Number of corrective questions about an answer: 0 or 1."""
    window: int
    """Characters of a trace shown at once; longer traces are judged in parts."""


@dataclass(slots=True)
class BehaviorQuestion:
    """A question about one part of a trace, with its replies."""

    behavior: Behavior
    ask: ModelRequest
    window: SegmentWindow | None
    """The part of the trace that is shown; None if traces are not segmented."""
    status: JudgeStatus | None = None
    """None until the question is finished."""
    count: int | None = None
    spans: tuple[Span, ...] = ()
    detail: str = ""
    replies: list[ModelReply] = field(default_factory=list)


class TraceDialogue:
    """Judges one completion.

    Args:
        task: the completion.
        prompt_config: how it is asked about.
        price: of the model; None where it is unknown.
    """

    def __init__(self, task: JudgeTask, prompt_config: JudgePromptConfig, price: Price | None) -> None:
        self.task = task
        self._prompt_config = prompt_config
        self._price = price
        self._segments: Sequence[TextRange] = ()
        self.questions = self._questions() if task.completion.strip() else []

    def _questions(self) -> list[BehaviorQuestion]:
        text, prompts = self.task.completion, self._prompt_config.prompts
        nonce = nonce_of(text)
        parts: list[tuple[SegmentWindow | None, str]] = [(None, shown(text))]
        if prompts.mode == "spans":
            self._segments = segments(text)
            cut = windows(self._segments, self._prompt_config.window)
            parts = [(window, numbered(text, self._segments, window, nonce)) for window in cut]
        holes = {
            **_problem_holes(self.task),
            "nonce": nonce,
            "parts": str(len(parts)),
        }
        found = []
        for number, (window, trace) in enumerate(parts, start=1):
            here = {**holes, "trace": trace, "part": str(number)}
            shared = prompts.shared(here) if len(parts) == 1 else f"{prompts.shared(here)}\n\n{prompts.part(here)}"
            found += [
                BehaviorQuestion(behavior, self._ask(behavior, here, shared), window) for behavior in prompts.behaviors
            ]
        return found

    def _ask(self, behavior: Behavior, holes: Mapping[str, str], shared: str) -> ModelRequest:
        prompts = self._prompt_config.prompts
        return ModelRequest(
            system=prompts.system,
            shared="" if prompts.shows_trace(behavior) else shared,
            question=prompts.question(behavior, holes),
            schema=SCHEMA if prompts.mode == "spans" else None,
            max_tokens=self._prompt_config.max_tokens,
            temperature=self._prompt_config.temperature,
        )

    # -- the dialogue ------------------------------------------------------------------------------

    def pending_requests(self) -> Sequence[ModelRequest]:
        """Return the requests whose questions are not finished."""
        return [question.ask for question in self.questions if question.status is None]

    def receive_reply(self, ask: ModelRequest, reply: ModelReply) -> None:
        """Process a reply: finish its question or ask it once more."""
        for question in self.questions:
            if question.status is None and (question.ask is ask or question.ask == ask):
                self._take(question, reply)
                return
        raise ValueError("a reply to nothing that was asked")

    def _take(self, question: BehaviorQuestion, reply: ModelReply) -> None:
        question.replies.append(reply)
        first = len(question.replies) == 1
        if reply.status != "ok":
            if first:
                question.status, question.detail = reply.status, reply.detail
            else:
                self._finish(question)  # a failed corrective question does not discard the first answer
            return
        problems = self._read(question, reply.text)
        if problems and first and self._prompt_config.reasks:
            # an answer can contain lone surrogates, which services refuse
            turn = (shown(reply.text), shown(self._prompt_config.prompts.again("\n".join(problems))))
            question.ask = replace(question.ask, turns=(turn,))
        else:
            self._finish(question)

    def _read(self, question: BehaviorQuestion, text: str) -> list[str]:
        """Store an answer if it is better than the stored one; return what is wrong with it."""
        if self._prompt_config.prompts.mode == "count_parity":
            try:
                question.count = parse_count(text)
            except UnreadableAnswer as error:
                question.detail = str(error)
            return []  # the published procedure asks once
        try:
            answer = parse_answer(text)
        except UnreadableAnswer as error:
            question.detail = question.detail or str(error)
            return [f"- It cannot be read: {error}."]
        assert question.window is not None
        spans = self._placed(answer, question.window)
        lost = [index for index, span in enumerate(spans) if span.alignment in _LOST]
        if question.count is None or _worth(spans) >= _worth(question.spans):
            question.count, question.spans = answer.count, spans
        return [self._complaint(index, answer, question.window) for index in lost]

    def _placed(self, answer: JudgeAnswer, window: SegmentWindow) -> tuple[Span, ...]:
        """Align each instance within the part of the trace that the judge was shown."""
        places = self._segments[window.first : window.end]
        offset = places[0][0]
        quotes = [
            JudgeQuote(one.quote, None if one.segment is None else one.segment - window.first, one.why)
            for one in answer.instances
        ]
        cut = [(start - offset, end - offset) for start, end in places]
        spans = align_quotes(self.task.completion[offset : places[-1][1]], quotes, cut)
        return tuple(
            span if span.start is None or span.end is None or not offset
            else span.model_copy(update={"start": span.start + offset, "end": span.end + offset})
            for span in spans
        )  # fmt: skip

    def _complaint(self, index: int, answer: JudgeAnswer, window: SegmentWindow) -> str:
        instance = answer.instances[index]
        quote = instance.quote if len(instance.quote) <= _SHOWN_QUOTE else f"{instance.quote[:_SHOWN_QUOTE]}…"
        if instance.segment is not None and not window.first < instance.segment <= window.end:
            where = f"there is no segment {instance.segment}"
        elif any(other.quote == instance.quote for other in answer.instances[:index]):
            where = "it is given more often than it stands in the text"
        else:
            where = "it does not stand in the text" + (f" at segment {instance.segment}" if instance.segment else "")
        return f"- Entry {index + 1}, {json.dumps(quote, ensure_ascii=False)}: {where}."

    def _finish(self, question: BehaviorQuestion) -> None:
        question.status = "parse_error" if question.count is None else "ok"

    # -- the outcome -------------------------------------------------------------------------------

    def judged(self) -> JudgedTask:
        """Return the verdicts of the finished dialogue. An empty completion has true zeros: it is not sent."""
        if not self.questions:
            empty = BehaviorVerdict("ok", 0, usage={"requests": 0, "empty": True})
            return JudgedTask(self.task, dict.fromkeys(self._prompt_config.prompts.behaviors, empty))
        return JudgedTask(
            self.task,
            {
                behavior: self._verdict([question for question in self.questions if question.behavior == behavior])
                for behavior in self._prompt_config.prompts.behaviors
            },
        )

    def _verdict(self, parts: list[BehaviorQuestion]) -> BehaviorVerdict:
        worst = min((part.status for part in parts if part.status is not None), key=_SEVERITY.index)
        usage = self._usage(parts)
        details = list(dict.fromkeys(part.detail for part in parts if part.status != "ok" and part.detail))
        if details:
            usage["detail"] = "; ".join(details)
        if worst != "ok":
            return BehaviorVerdict(worst, None, (), _raw(parts), usage)
        count = sum(part.count or 0 for part in parts)
        spans = tuple(span for part in parts for span in part.spans)
        if self._prompt_config.prompts.mode == "spans":
            usage["count_mismatch"] = any(part.count != len(part.spans) for part in parts)
        return BehaviorVerdict("ok", count, spans, _raw(parts), usage)

    def _usage(self, parts: list[BehaviorQuestion]) -> dict[str, Any]:
        """Return the usage of a behaviour's replies: tokens, requests, US dollars (None if the price is unknown)."""
        replies = [reply for part in parts for reply in part.replies]
        total = sum((reply.usage for reply in replies), TokenUsage())
        price = self._price
        return {
            "requests": len(replies),
            "input_tokens": total.input_tokens,
            "cached_tokens": total.cached_tokens,
            "cache_write_tokens": total.cache_write_tokens,
            "output_tokens": total.output_tokens,
            "cost_usd": None if price is None else sum(price.cost(r.usage, batch=r.batch) for r in replies),
            "batch": any(reply.batch for reply in replies),
            "reasked": any(len(part.replies) > 1 for part in parts),
            **({"parts": len(parts)} if len(parts) > 1 else {}),
        }


def _worth(spans: Sequence[Span]) -> tuple[int, int]:
    """Sort key of an answer: more quotes found in the text first, then fewer that are not."""
    lost = sum(span.alignment in _LOST for span in spans)
    return len(spans) - lost, -lost


def _raw(parts: list[BehaviorQuestion]) -> str | None:
    """Return the unparsed replies: one as it is, several as a JSON list of {part, status, text}."""
    said = [(number, reply) for number, part in enumerate(parts, start=1) for reply in part.replies]
    if len(said) == 1:
        return said[0][1].text
    return json.dumps([{"part": number, "status": reply.status, "text": reply.text} for number, reply in said])


def _problem_holes(task: JudgeTask) -> dict[str, str]:
    """Return the values of `{problem}` and, for problems that have them, of `{numbers}` and `{target}`."""
    holes = {"problem": describe_problem(task.task, task.problem).full}
    context = rules_context(task.task, task.problem)
    if context is not None:
        holes |= {"numbers": ", ".join(map(str, context.numbers)), "target": str(context.target)}
    elif not task.task:
        holes |= {"numbers": "", "target": "0"}
    return holes
