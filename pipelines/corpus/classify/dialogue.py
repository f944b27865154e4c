"""The dialogue about one document: questions about its behaviours, and one about its facts."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeTask
from pipelines.behaviors.judges.llm.dialogue import JudgePromptConfig, TraceDialogue
from pipelines.corpus.classify.facts import DOMAINS, DocumentFacts
from pipelines.corpus.documents.filter import has_prompt_injection
from pipelines.llm.prices import Price
from pipelines.llm.requests import ModelReply, ModelRequest
from pipelines.records import Behavior

_ANSWER_TOKENS: Final = 256
_OBJECT: Final = re.compile(r"\{[^{}]*\}")

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "problem": {"type": "boolean"},
        "solution": {"type": "boolean"},
        "domain": {"type": "string", "enum": list(DOMAINS)},
    },
    "required": ["problem", "solution", "domain"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class FactsQuestion:
    """What is asked about a document beside its behaviours."""

    text: str

    @classmethod
    def of(cls, template: str) -> Self:
        """The question with the fields filled in."""
        return cls(template.replace("{domains}", ", ".join(DOMAINS)))

    @property
    def sha256(self) -> str:
        """Digest of what is sent."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class DocumentDialogue:
    """Judges one document, which has text.

    Args:
        task: the document.
        prompt_config: how it is asked about.
        question: about the document itself.
        price: of the model; None where it is unknown.
    """

    def __init__(
        self, task: JudgeTask, prompt_config: JudgePromptConfig, question: FactsQuestion, price: Price | None
    ) -> None:
        self.task = task
        self._behaviors = TraceDialogue(task, prompt_config, price)
        first = self._behaviors.pending_requests()[0]
        # What a document is shows in its first part; the shared text is the same, so a prompt cache serves both.
        self._request = replace(first, question=question.text, schema=SCHEMA, max_tokens=_ANSWER_TOKENS)
        self._reply: ModelReply | None = None

    def pending_requests(self) -> Sequence[ModelRequest]:
        """What has no answer yet."""
        return [*self._behaviors.pending_requests(), *([self._request] if self._reply is None else [])]

    def receive_reply(self, request: ModelRequest, reply: ModelReply) -> None:
        """Takes a reply."""
        if self._reply is None and request == self._request:
            self._reply = reply
        else:
            self._behaviors.receive_reply(request, reply)

    def judged(self) -> JudgedTask:
        """The verdicts. A count without a place that shows it is not believed of a document that gives orders."""
        judged = self._behaviors.judged()
        if not has_prompt_injection(self.task.completion):
            return judged
        return JudgedTask(
            self.task, {behavior: _believed(behavior, verdict) for behavior, verdict in judged.verdicts.items()}
        )

    def facts(self) -> DocumentFacts:
        """What the document is."""
        reply = self._reply
        assert reply is not None
        usage = {"input_tokens": reply.usage.input_tokens, "output_tokens": reply.usage.output_tokens}
        if reply.status != "ok":
            return DocumentFacts(reply.status, detail=reply.detail, usage=usage)
        return replace(read_facts(reply.text), usage=usage)


def _believed(behavior: Behavior, verdict: BehaviorVerdict) -> BehaviorVerdict:
    shown = sum(span.start is not None for span in verdict.spans)
    if verdict.count is None or verdict.count <= shown:
        return verdict
    detail = f"the document gives orders, and of a count of {verdict.count} only {shown} are shown"
    return BehaviorVerdict("parse_error", None, (), verdict.raw, {**verdict.usage, "detail": detail})


def read_facts(text: str) -> DocumentFacts:
    """Reads `{problem, solution, domain}`, also between fences or prose. What cannot be read is a `parse_error`."""
    for candidate in reversed(_OBJECT.findall(text)):
        try:
            value = json.loads(candidate)
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        problem, solution, domain = value.get("problem"), value.get("solution"), value.get("domain")
        if isinstance(problem, bool) and isinstance(solution, bool) and isinstance(domain, str):
            return DocumentFacts("ok", problem, solution, domain if domain in DOMAINS else "other")
    return DocumentFacts("parse_error", detail="the answer holds no {problem, solution, domain}")
