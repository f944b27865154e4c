"""`DocumentDialogue`: the questions to a model about the behaviours and the facts of one document."""

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
    """The question about the facts of a document: problem, solution, domain."""

    text: str

    @classmethod
    def of(cls, template: str) -> Self:
        """Return the question with the list of domains filled in."""
        return cls(template.replace("{domains}", ", ".join(DOMAINS)))

    @property
    def sha256(self) -> str:
        """SHA-256 of the question."""
        return hashlib.sha256(self.text.encode()).hexdigest()


class DocumentDialogue:
    """Judges one document that is not empty.

    Args:
        task: the document.
        prompt_config: prompts and limits of the questions about behaviours.
        question: about the facts of the document.
        price: price of the model; None if unknown.
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
        """Return the requests without a reply."""
        return [*self._behaviors.pending_requests(), *([self._request] if self._reply is None else [])]

    def receive_reply(self, request: ModelRequest, reply: ModelReply) -> None:
        """Store a reply."""
        if self._reply is None and request == self._request:
            self._reply = reply
        else:
            self._behaviors.receive_reply(request, reply)

    def judged(self) -> JudgedTask:
        """Return the verdicts. In a document with a prompt injection, a count above the number of spans is an error."""
        judged = self._behaviors.judged()
        if not has_prompt_injection(self.task.completion):
            return judged
        return JudgedTask(
            self.task, {behavior: _believed(behavior, verdict) for behavior, verdict in judged.verdicts.items()}
        )

    def facts(self) -> DocumentFacts:
        """Return the facts of the document."""
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
    detail = f"the document addresses its judge, and only {shown} of {verdict.count} instances have a quote in it"
    return BehaviorVerdict("parse_error", None, (), verdict.raw, {**verdict.usage, "detail": detail})


def read_facts(text: str) -> DocumentFacts:
    """Parse `{problem, solution, domain}`, also inside code fences or prose; any other text is a `parse_error`."""
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
