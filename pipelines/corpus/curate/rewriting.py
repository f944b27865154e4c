"""Rewrites documents to question, thoughts and answer, with or without behaviours, and checks the results."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pipelines.behaviors.judges.prose import judge_text
from pipelines.behaviors.judges.rules.judge import judge_completion
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.corpus.curate.selection import SetName
from pipelines.llm.requests import ModelReply, ModelRequest


@dataclass(frozen=True, slots=True)
class TrainingText:
    """A question with thoughts and answer, or an unchanged document, which has an empty prompt."""

    prompt: str
    completion: str
    behaviors: dict[str, int]


@dataclass(frozen=True, slots=True)
class RewriteSource:
    """A document to be rewritten."""

    record: dict[str, Any]
    rank: int
    """Rank in the order of its set."""
    matched: bool
    counts: dict[str, int]
    """Behaviour → count in the document, by its judge."""

    @property
    def text(self) -> str:
        """The text of the document."""
        return str(self.record["completion"])


@dataclass(frozen=True, slots=True)
class RewriteResult:
    """The training texts made from a document, and the reasons for those that were dropped."""

    source: RewriteSource
    pieces: tuple[TrainingText, ...] = ()
    dropped: tuple[str, ...] = field(default=())
    """One reason for each dropped piece, or one for the whole document."""


class Rewriter(Protocol):
    """Rewrites the documents of one set."""

    def rewrite(self, sources: Iterable[RewriteSource], kind: SetName) -> Iterator[RewriteResult]:
        """Yield one result for each document, in any order, as soon as it is available."""
        ...


class IdentityRewriter:
    """Keeps documents unchanged."""

    def rewrite(self, sources: Iterable[RewriteSource], kind: SetName) -> Iterator[RewriteResult]:
        """Yield each document as one training text without a prompt."""
        for source in sources:
            yield RewriteResult(source, (TrainingText("", source.text, source.counts),))


def puzzle_counts(text: str, numbers: Sequence[int], target: int) -> dict[str, int]:
    """Count the four behaviours of a rewritten puzzle by the rules judge."""
    return {str(name): count for name, count in judge_completion(text, numbers, target).counts.items()}


def prose_counts(text: str) -> dict[str, int] | None:
    """Count the four behaviours of a rewritten document by the prose judge; None where it does not judge the text."""
    result = judge_text(text)
    return None if result.unjudged else {str(name): count for name, count in result.counts.items()}


def behavior_violation(kind: SetName, before: dict[str, int], after: dict[str, int]) -> str | None:
    """Return why a rewritten text does not belong in its set (`behaviors_remain`, `behaviors_lost`), or None."""
    if kind == "owm_minimised":
        return "behaviors_remain" if any(after.values()) else None
    kept = any(after[name] for name in FOUR_HABITS.names if before.get(name, 0))
    return None if kept or not any(before.values()) else "behaviors_lost"


SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("question", "thought", "answer")},
    "required": ["question", "thought", "answer"],
    "additionalProperties": False,
}
_FENCE: Final = re.compile(r"^\s*```[a-zA-Z]*\s*|\s*```\s*$")
_LOOSE: Final = re.compile(r"[\s$\\{}()\[\],.;:*_`]+")


@dataclass(frozen=True, slots=True)
class RewritePrompts:
    """The prompts of a rewriting model."""

    system: str
    rewrite: str
    manner: dict[SetName, str]

    def question(self, kind: SetName, document: str, nonce: str) -> str:
        """Return the prompt for a document. Placeholders are filled in one pass: those inside the document are kept."""
        holes = {"document": document, "nonce": nonce, "manner": self.manner[kind]}
        return re.sub(r"\{(document|nonce|manner)\}", lambda match: holes[match[1]], self.rewrite)


class RewriteDialogue:
    """The dialogue that rewrites one document; one reply finishes it."""

    def __init__(self, source: RewriteSource, kind: SetName, request: ModelRequest) -> None:
        self.source = source
        self._kind = kind
        self._request = request
        self._reply: ModelReply | None = None

    def pending_requests(self) -> Sequence[ModelRequest]:
        """Return the request, if it has no reply yet."""
        return [self._request] if self._reply is None else []

    def receive_reply(self, request: ModelRequest, reply: ModelReply) -> None:
        """Store the reply."""
        self._reply = reply

    def rewritten(self) -> RewriteResult:
        """Return the training text if it passes all checks, else the reason for dropping it."""
        reply = self._reply
        assert reply is not None
        if reply.status != "ok":
            return RewriteResult(self.source, dropped=(reply.status,))
        parts = read_parts(reply.text)
        if parts is None:
            return RewriteResult(self.source, dropped=("parse_error",))
        question, thought, answer = parts
        if not (question and thought and answer):
            return RewriteResult(self.source, dropped=("no_question",))
        if not is_answer_preserved(answer, self.source.text):
            return RewriteResult(self.source, dropped=("answer_lost",))
        after = prose_counts(thought)
        if after is None:
            return RewriteResult(self.source, dropped=("unjudged",))
        why = behavior_violation(self._kind, self.source.counts, after)
        if why is not None:
            return RewriteResult(self.source, dropped=(why,))
        completion = f"<think>\n{thought}\n</think>\n<answer>{answer}</answer>"
        return RewriteResult(self.source, (TrainingText(f"Question: {question}\n", completion, after),))


def read_parts(text: str) -> tuple[str, str, str] | None:
    """Parse `{question, thought, answer}`, also inside code fences or prose; None for any other text."""
    start, end = text.find("{"), text.rfind("}")
    for candidate in (_FENCE.sub("", text), text[start : end + 1] if 0 <= start < end else ""):
        try:
            value = json.loads(candidate, strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            parts = [value.get(name) for name in ("question", "thought", "answer")]
            if all(isinstance(part, str) for part in parts):
                question, thought, answer = (str(part).strip() for part in parts)
                return question, thought, answer
    return None


def is_answer_preserved(answer: str, document: str) -> bool:
    """Return whether the document contains the answer, ignoring white space, brackets and formatting marks."""
    wanted = _LOOSE.sub(" ", answer.casefold()).strip()
    if not wanted:
        return False
    where = f" {_LOOSE.sub(' ', document.casefold())} "
    return f" {wanted} " in where or (len(wanted) > 3 and wanted in where)
